"""``rnn-tasks analyze``: a report of trained networks that a person opens in a browser."""

from pathlib import Path

from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import require

MAX_RUNS = 4


def analyze(words: list[str]) -> None:
    """Write a report of a run, or of some side by side.

    Args:
        words: The words after ``analyze``.

    Raises:
        UsageError: No such run, a broken one, or runs that do not belong side by side.
    """
    parser = OneLineParser(
        "rnn-tasks analyze", description="Write a report of what a trained network remembers, and how."
    )
    parser.add_argument("run", nargs="+", help="run folder, checkpoint, or task (then its newest run)")
    parser.add_argument("--output", type=Path, help="folder of the report (report/ in the run folder)")
    given = parser.parse_args(words)
    require(len(given.run) <= MAX_RUNS, f"at most {MAX_RUNS} runs stand side by side, got {len(given.run)}")
    require(
        len(given.run) == 1 or given.output is not None,
        "a report of several runs belongs to none of them: say where it goes with --output FOLDER",
    )

    from rnn_tasks.runs.find import find_run

    places = [find_run(name) for name in given.run]

    with slow_import():
        from rnn_tasks.report.write import write_report

    page = write_report(places, given.output or places[0].folder / "report")
    print(f"open {page}")
