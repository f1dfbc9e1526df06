"""``rnn-tasks reproduce``: published results beside our values."""

import sys
from pathlib import Path

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.commands.study import FOLDER
from rnn_tasks.errors import require


def reproduce(arguments: list[str], figures: Path | None = None) -> None:
    """Do the runs of published results that are not done, and print these results beside our values.

    Args:
        arguments: The arguments after ``reproduce``.
        figures: The YAML file of the published results; None for the shipped one.

    Raises:
        UsageError: There is no such result, or the database cannot be opened.
        SystemExit: With status 1 if a run has failed; not if a result is outside its tolerance.
    """
    parser = OneLineParser("rnn-tasks reproduce", description="Published figures beside ours; resumable.")
    parser.add_argument("name", nargs="*", help="figures or runs; default: all results whose runs are not slow")
    parser.add_argument("--all", action="store_true", help="run the slow ones too")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--retry-failed", action="store_true", help="do failed runs again, from the beginning")
    parser.add_argument("--list", action="store_true", help="only say which figures there are")
    options = parser.parse_args(arguments)
    require(options.jobs >= 1, "jobs must be at least 1")
    require(not (options.all and options.name), "give names or --all, not both")

    from rnn_tasks.studies.published import lines_of
    from rnn_tasks.studies.published_file import FIGURES, NAME, read_published

    published = read_published(figures or FIGURES)
    chosen = published.choose(options.name, options.all or options.list)
    if options.list:
        print("\n".join(lines_of(published, chosen)))
        return

    from rnn_tasks.studies.published_report import reproduce_results

    folder = FOLDER / NAME
    folder.mkdir(parents=True, exist_ok=True)
    shown = chosen if options.name else published.results
    done = reproduce_results(published, chosen, shown, folder, options.jobs, options.retry_failed)
    print(f"{done.text}\n\nopen {done.page}")
    if not done.all_done:
        sys.exit(1)
