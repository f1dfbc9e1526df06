"""``rnn-tasks reproduce``: published results compared with ours."""

import sys

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.commands.study import FOLDER
from rnn_tasks.errors import require


def reproduce(arguments: list[str]) -> None:
    """Do the pending runs of published results, and print each published result with our value.

    Args:
        arguments: The arguments after ``reproduce``.

    Raises:
        UsageError: A result does not exist, or the database cannot be opened.
        SystemExit: With status 1 if a run failed, but not if a result is outside its tolerance.
    """
    parser = OneLineParser(
        "rnn-tasks reproduce",
        description="Repeat published experiments, and compare their results with ours. Skips finished runs.",
    )
    parser.add_argument("name", nargs="*", help="results or runs (default: all results whose runs are not slow)")
    parser.add_argument("--all", action="store_true", help="include the slow runs")
    parser.add_argument("--jobs", type=int, default=1, help="number of runs at a time (default: 1)")
    parser.add_argument("--retry-failed", action="store_true", help="train failed runs again, from scratch")
    parser.add_argument("--list", action="store_true", help="list the results, their sources and times, and exit")
    options = parser.parse_args(arguments)
    require(options.jobs >= 1, f"jobs must be at least 1, got {options.jobs}")
    require(not (options.all and options.name), "give names or --all, not both")

    from rnn_tasks.studies.published import lines_of
    from rnn_tasks.studies.published_file import FIGURES, NAME, read_published

    published = read_published(FIGURES)
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
