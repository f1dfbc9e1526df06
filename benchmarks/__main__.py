"""Measure, and write the table: ``python -m benchmarks [--quick] [--only NAME ...] [--turns N] [--output FOLDER]``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

from benchmarks.facts import facts
from benchmarks.rows import NotMeasuredError, Row, as_json, as_markdown, as_text
from benchmarks.turns import Setting

GROUPS = ("answer", "step", "cores", "data", "startup", "growth", "gpu")
"""The modules that measure, in the order of the table."""


def rows_of(name: str, setting: Setting) -> list[Row]:
    """The rows of a group, each told as soon as it is known; what cannot be measured is a row that says why.

    Args:
        name: The group.
        setting: How thoroughly.
    """
    found: list[Row] = []
    try:
        for row in import_module(f"benchmarks.{name}").measure(setting):
            told = " ".join(cell for cell in (*row.cells()[:8], row.note) if cell)
            print(told, file=sys.stderr, flush=True)
            found.append(row)
    except (NotMeasuredError, ImportError, ValueError, OSError, RuntimeError) as reason:
        found.append(Row(name, "the rest" if found else "all", "", note=" ".join(str(reason).split())))
        print(f"{name}: not measured: {found[-1].note}", file=sys.stderr, flush=True)
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Measure what was asked for.

    Args:
        words: Of the command line; those of the process if None.
    """
    parser = argparse.ArgumentParser("python -m benchmarks", description="What the package costs, against peers.")
    parser.add_argument("--quick", action="store_true", help="fewer turns, and nothing that takes long: three minutes")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="the groups to measure")
    parser.add_argument("--turns", type=int, help="turns of each measurement; each group has its own number")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder of the table")
    given = parser.parse_args(words)
    if given.turns is not None and given.turns < 1:
        parser.error(f"--turns must be at least 1, got {given.turns}")
    setting, known, rows = Setting(given.quick, given.turns), facts(), []
    output = given.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        started = perf_counter()
        rows += rows_of(name, setting)
        print(f"{name}: {perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        (output / "benchmarks.json").write_text(as_json(rows, known))
        (output / "benchmarks.md").write_text(as_markdown(rows, known))
    print(as_text(rows))
    print(f"written to {output}")


if __name__ == "__main__":
    main()
