"""What a study costs: its time over that of the same runs, started by hand one after the other.

    .venv/bin/python benchmarks/study_overhead.py [--runs 20] [--turns 1] [--steps 40]

Each run trains for about a second. The same command lines are run by hand, in a study with one job, and in one with
two; the report of the study is part of its time. In the next turn the three follow one another backwards, so that
whatever else the machine does meets all of them, and the ratios of a turn are compared, not its times.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.studies.plan_file import read_plan


def study_of(runs: int, steps: int) -> dict[str, Any]:
    """The YAML of a study.

    Args:
        runs: How many it has.
        steps: Optimizer steps of each.
    """
    return {
        "about": "What a study costs.",
        "configs": "echo",
        "axes": {"network": {"rnn": {"configs": "models/rnn"}}},
        "seeds": [*range(runs)],
        "budget": {"steps": steps},
    }


def seconds(commands: list[list[str]], folder: Path) -> float:
    """Seconds that some commands take, one after the other.

    Args:
        commands: Words behind the interpreter.
        folder: Where they are run.
    """
    start = time.perf_counter()
    for command in commands:
        said = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
        if said.returncode:
            raise SystemExit(said.stderr)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps of a run; 40 are about a second")
    given = parser.parse_args()
    found: dict[str, list[float]] = {"by hand": [], "--jobs 1": [], "--jobs 2": []}
    for turn in range(given.turns):
        for how in [*found] if turn % 2 == 0 else reversed([*found]):
            with tempfile.TemporaryDirectory() as folder:
                study = Path(folder, "cost.yaml")
                study.write_text(yaml.safe_dump(study_of(given.runs, given.steps)))
                plan = read_plan(str(study))
                commands = [["-m", "rnn_tasks", *plan.arguments(cell)] for cell in plan.runs()]
                if how != "by hand":
                    commands = [["-m", "rnn_tasks", "study", "run", str(study), *how.split()]]
                found[how].append(seconds(commands, Path(folder)))
            print(f"turn {turn + 1} of {given.turns}, {how}: {found[how][-1]:.1f} s", file=sys.stderr, flush=True)
    print(f"| {given.runs} runs | seconds | over those by hand, median of {given.turns} turns | range |")
    print("|---|---|---|---|")
    for how, values in found.items():
        ratios = [value / by_hand for value, by_hand in zip(values, found["by hand"], strict=True)]
        print(
            f"| {how} | {statistics.median(values):.1f} | {statistics.median(ratios):.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} |"
        )


if __name__ == "__main__":
    main()
