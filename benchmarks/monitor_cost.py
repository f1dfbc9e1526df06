"""What monitors cost: CPU time of training with them over that without, by turns in processes of their own.

    .venv/bin/python benchmarks/monitor_cost.py [--turns 11] [--steps 300]

The recipe of ``copy`` is trained without any monitor, with those that every run has, and with those of ``watch.yaml``
too; every other callback is the same. In each turn the three are run one after the other, in the next turn backwards,
so that whatever else the machine does meets all of them, and the ratios of a turn are compared, not its times.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

CONFIGS = Path(__file__).parent.parent / "configs"


class Stopwatch(Callback):
    """Prints the CPU seconds of this process from the beginning of training to its end, validations included."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = time.process_time()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        print(f"CPU seconds: {time.process_time() - self.start}", flush=True)


def callbacks(file: str) -> list[dict[str, object]]:
    """The callbacks of a config."""
    trainer = yaml.safe_load((CONFIGS / file).read_text())["trainer"]
    found: list[dict[str, object]] = trainer.get("callbacks") or trainer["callbacks+"]
    return found


def variants() -> dict[str, list[dict[str, object]]]:
    """The callbacks of each of the three."""
    every_run = callbacks("base.yaml")
    bare = [callback for callback in every_run if not str(callback["class_path"]).endswith("Monitor")]
    return {"none": bare, "every run's": every_run, "all": [*every_run, *callbacks("watch.yaml")]}


def seconds(folder: Path, name: str, used: list[dict[str, object]], task: str, steps: int) -> float:
    """CPU seconds of a training.

    Args:
        folder: Where it happens.
        name: Of the config that is written there.
        used: The callbacks.
        task: The recipe.
        steps: Optimizer steps.
    """
    stopwatch: dict[str, object] = {"class_path": "monitor_cost.Stopwatch"}
    trainer = {"callbacks": [*used, stopwatch], "max_steps": steps}
    config = folder / f"{name.split()[0]}.yaml"
    config.write_text(yaml.safe_dump({"trainer": trainer}))
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from rnn_tasks.commands import main; main()"
    )
    command = [sys.executable, "-c", program, "fit", "--config", task, "--config", str(config)]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(said.stderr)
    return float(said.stdout.partition("CPU seconds: ")[2].split()[0])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--task", default="copy")
    given = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in variants()}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(given.turns):
            every = list(variants().items())
            for name, used in every if turn % 2 == 0 else reversed(every):
                found[name].append(seconds(Path(folder), name, used, given.task, given.steps))
            print(f"turn {turn + 1} of {given.turns}", file=sys.stderr, flush=True)
    print(
        f"| monitors | CPU of `{given.task}` over that without, median of {given.turns} turns | range |\n|---|---|---|"
    )
    for name, values in list(found.items())[1:]:
        ratios = [value / bare for value, bare in zip(values, found["none"], strict=True)]
        print(f"| {name} | {statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |")


if __name__ == "__main__":
    main()
