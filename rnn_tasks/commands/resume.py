"""``rnn-tasks resume``: continue an interrupted run in its own folder."""

from rnn_tasks.cli.resume import resume_run
from rnn_tasks.cli.working_folder import allow_named_modules
from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.runs.data_text import data_text
from rnn_tasks.runs.find import read_config
from rnn_tasks.runs.summary_text import closing_lines
from rnn_tasks.runs.trust import needs_trust


def resume(arguments: list[str]) -> None:
    """Resume a run; print the closing lines of a finished run, unless options make the run longer.

    Args:
        arguments: The arguments after ``resume``: the run, then options of ``fit``.

    Raises:
        UsageError: The run does not exist.
    """
    parser = OneLineParser(
        "rnn-tasks resume",
        description="Continue a run in its own folder. Options of fit are accepted too, such as --trainer.max_steps.",
    )
    parser.add_argument("run", help="run folder, checkpoint, or task name (its newest run)")
    parsed, options = parser.parse_known_args(arguments)
    allow_named_modules(["resume", parsed.run, *options])
    finished = resume_run(parsed.run, options)
    if finished is not None:
        config = read_config(finished.folder)
        print(closing_lines(finished.summary, finished.folder, data_text(config), needs_trust(config)))
