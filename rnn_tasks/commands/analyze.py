"""``rnn-tasks analyze``: an HTML report of trained networks."""

from pathlib import Path

from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import require
from rnn_tasks.printable import printable

MAX_RUNS = 4


def analyze(arguments: list[str]) -> None:
    """Write a report that shows a run, or compares several.

    Args:
        arguments: The arguments after ``analyze``.

    Raises:
        UsageError: A run does not exist or is damaged, or the runs cannot be compared.
    """
    parser = OneLineParser(
        "rnn-tasks analyze", description="Write an HTML report of what trained networks remember, and how."
    )
    parser.add_argument(
        "run", nargs="+", help="run folder, checkpoint, or task name (its newest run); several runs are compared"
    )
    parser.add_trust()
    parser.add_argument("--output", type=Path, help="folder of the report (default: report/ in the run folder)")
    options = parser.parse_args(arguments)
    require(len(options.run) <= MAX_RUNS, f"at most {MAX_RUNS} runs can be compared, got {len(options.run)}")
    require(len(options.run) == 1 or options.output is not None, "a report of several runs needs --output FOLDER")

    from rnn_tasks.cli.working_folder import allow_modules_of_run
    from rnn_tasks.runs.find import find_run

    runs = [find_run(name) for name in options.run]
    for run in runs if options.trust else ():
        allow_modules_of_run(run.folder)

    with slow_import():
        from rnn_tasks.report.write import write_report

    page = write_report(runs, options.output or runs[0].folder / "report", trust=options.trust)
    print(f"open {printable(str(page))}")
