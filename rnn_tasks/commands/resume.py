"""``rnn-tasks resume``: go on where a run was interrupted, in its own folder."""

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import CONFIG, read_summary
from rnn_tasks.runs.find import find_run
from rnn_tasks.runs.summary_text import closing_lines


def resume(words: list[str]) -> None:
    """Go on with a run; a finished one only says so, unless options make it longer.

    Args:
        words: The words after ``resume``: the run, then options of ``fit``.

    Raises:
        UsageError: There is no such run.
    """
    parser = OneLineParser("rnn-tasks resume", description="Go on with a run; further options are those of fit.")
    parser.add_argument("run", help="run folder, checkpoint, or task (then its newest run)")
    given, options = parser.parse_known_args(words)
    folder = find_run(given.run).folder
    if not (folder / CONFIG).is_file():
        raise UsageError(f"there is no {folder / CONFIG}, so the run cannot be resumed; train anew")
    summary = read_summary(folder)
    trained = summary.get("stopped") not in (None, "interrupted", "diverged") and not options
    if trained and "test/loss" in summary["metrics"]:
        print(closing_lines(summary, folder))
        return

    from rnn_tasks.cli.trainer import run_trainer

    # Killed between the training and its test: only the test is missing.
    run_trainer(["fit", "--config", str(folder / CONFIG), *options], folder, only_test=trained)
