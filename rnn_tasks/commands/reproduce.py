"""``rnn-tasks reproduce``: compare published results with our values."""

import sys
from pathlib import Path

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.commands.study import FOLDER
from rnn_tasks.errors import require


def reproduce(arguments: list[str], file: Path | None = None) -> None:
    """Do the pending runs of published results, and print the results beside our values.

    Args:
        arguments: The arguments after ``reproduce``.
        file: The YAML file of the published results; None for the shipped one.

    Raises:
        UsageError: A name is neither a result nor a run, or the database cannot be opened.
        SystemExit: With status 1 if a run failed; a result outside its tolerance is not a failure.
    """
    parser = OneLineParser(
        "rnn-tasks reproduce",
        description="Compare published results with ours. A second call does only the missing runs.",
    )
    parser.add_argument("name", nargs="*", help="results or runs; default: all results whose runs are not slow")
    parser.add_argument("--all", action="store_true", help="include the slow runs")
    parser.add_argument("--jobs", type=int, default=1, help="number of runs at a time (default: 1)")
    parser.add_argument("--retry-failed", action="store_true", help="retry failed runs from scratch")
    parser.add_argument("--list", action="store_true", help="list the results and their costs, and exit")
    options = parser.parse_args(arguments)
    require(options.jobs >= 1, f"jobs must be at least 1, got {options.jobs}")
    require(not (options.all and options.name), "give either names or --all")

    from rnn_tasks.studies.published import lines_of
    from rnn_tasks.studies.published_file import NAME, RESULTS_FILE, read_published

    published = read_published(file or RESULTS_FILE)
    chosen = published.choose(options.name, options.all or options.list)
    if options.list:
        print("\n".join(lines_of(published, chosen)))
        return

    from rnn_tasks.studies.progress import say
    from rnn_tasks.studies.published_report import reproduce_results

    folder = FOLDER / NAME
    folder.mkdir(parents=True, exist_ok=True)
    shown = chosen if options.name else published.results
    outcome = reproduce_results(published, chosen, shown, folder, options.jobs, options.retry_failed)
    say(f"{outcome.text}\n\nopen {outcome.page}")
    if not outcome.all_done:
        sys.exit(1)
