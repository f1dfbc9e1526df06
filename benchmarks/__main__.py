"""Measure, and write the table: ``python -m benchmarks [--quick] [--only GROUP ...] [--output FOLDER]``."""

import argparse
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from benchmarks.table import NotMeasuredError, Row, as_json, as_markdown, as_text

GROUPS = ("answer", "step", "cores", "data", "startup", "growth")  # modules, in the order of the table


def facts() -> dict[str, object]:
    """Return date, command, machine and versions, by name."""
    listing = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", listing.read_text()) if listing.is_file() else None
    versions = [f"{name} {version(name)}" for name in ("rnn_tasks", "torch", "lightning", "numpy", "jsonargparse")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "cpu": model[1] if model else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
    }


def measure(group: str, quick: bool) -> list[Row]:
    """Return the rows of a group; a failure becomes a row that gives the reason. Print each row when it is known."""
    rows: list[Row] = []
    try:
        for row in import_module(f"benchmarks.{group}").measure(quick):
            print(" ".join(filter(None, row.cells())), file=sys.stderr, flush=True)
            rows.append(row)
    except (NotMeasuredError, RuntimeError) as error:
        rows.append(Row(group, "the rest" if rows else "all", "", note=" ".join(str(error).split())))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the arguments name, those of the process if None."""
    parser = argparse.ArgumentParser("python -m benchmarks", description="What the package costs, against peers.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no slow peer: about three minutes")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="the groups to measure")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), help="folder of the table")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    machine, rows = facts(), list[Row]()
    for group in options.only:
        start = perf_counter()
        rows += measure(group, options.quick)
        print(f"{group}: {perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        (options.output / "benchmarks.json").write_text(as_json(rows, machine))
        (options.output / "benchmarks.md").write_text(as_markdown(rows, machine))
    print(as_text(rows))
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
