"""Run benchmarks and write a table: ``python -m benchmarks [--quick] [--only GROUP ...] [--output FOLDER]``."""

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

GROUPS = (
    "answer",
    "step",
    "cores",
    "layers",
    "data",
    "startup",
    "growth",
    "explorer",
)  # modules, in the order of the table


def environment() -> dict[str, object]:
    """Return date, command, machine and versions by name."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    versions = [f"{name} {version(name)}" for name in ("rnn_tasks", "torch", "lightning", "numpy", "jsonargparse")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "cpu": model[1] if model else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
    }


def measure(group: str, quick: bool) -> list[Row]:
    """Return the rows of a group and print each row when it is measured; a failure becomes a row with the reason."""
    rows: list[Row] = []
    try:
        for row in import_module(f"benchmarks.{group}").measure(quick):
            print(" ".join(filter(None, row.cells())), file=sys.stderr, flush=True)
            rows.append(row)
    except (NotMeasuredError, RuntimeError) as error:
        rows.append(Row(group, "remaining" if rows else "all", "", note=" ".join(str(error).split())))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that the arguments name; None for the arguments of the process."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description="Measure the cost of the package relative to peers that do the same work."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no slow peers: about three minutes")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="groups to measure (default: all)")
    parser.add_argument(
        "--output", type=Path, default=Path("build/benchmarks"), help="folder of the tables (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    facts, rows = environment(), list[Row]()
    for group in options.only:
        start = perf_counter()
        rows += measure(group, options.quick)
        print(f"{group}: {perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        (options.output / "benchmarks.json").write_text(as_json(rows, facts))
        (options.output / "benchmarks.md").write_text(as_markdown(rows, facts))
    print(as_text(rows))
    print(f"wrote {options.output / 'benchmarks.md'} and {options.output / 'benchmarks.json'}")


if __name__ == "__main__":
    main()
