"""``rnn-tasks profile``: the card of a recurrent layer."""

import sys
from pathlib import Path

from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import require


def profile(arguments: list[str]) -> None:
    """Train a layer on the core tasks of the memory suite, and write its card.

    Args:
        arguments: The arguments after ``profile``.

    Raises:
        UsageError: The layer does not exist, cannot be trained, or looks ahead.
        SystemExit: With status 1 if a run failed or diverged.
    """
    parser = OneLineParser(
        "rnn-tasks profile",
        description="Train a recurrent layer on the core tasks of the memory suite, and write its card: what it "
        "remembers, for how long, and at what cost. Interrupted profiles are resumed by the same command.",
    )
    parser.add_argument("model", help="name of an overlay, such as gru, or path of the YAML file of a layer")
    parser.add_argument("--quick", action="store_true", help="three tasks and one seed; a whole profile resumes them")
    parser.add_argument("--jobs", type=int, default=1, help="number of runs at a time (default: 1)")
    parser.add_argument(
        "--output", type=Path, help="folder of the card (default: card/ in lightning_logs/profiles/MODEL)"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="retry failed runs from scratch; killed runs are always retried"
    )
    options = parser.parse_args(arguments)
    require(options.jobs >= 1, f"jobs must be at least 1, got {options.jobs}")

    with slow_import():
        from rnn_tasks.profile.write import make_profile, summary
        from rnn_tasks.studies.progress import say

    profile = make_profile(options.model, options.quick, options.jobs, options.output, options.retry_failed)
    say(summary(profile))
    if not profile.all_done:
        sys.exit(1)
