"""Facts about a run for the table of a page."""

from rnn_tasks.report.answers import is_text
from rnn_tasks.report.run_data import RunData, run_facts
from rnn_tasks.runs.files import BEST, LAST

WEIGHTS = {BEST: "those with the lowest validation loss", LAST: "the last saved ones"}
"""Which weights a checkpoint of a run holds, by its name."""


def facts(run: RunData) -> list[tuple[str, str]]:
    """Return the names and the values of the facts about a run, for a table; the same names for each run of a task.

    Args:
        run: The run.

    Raises:
        UsageError: The section data of config.yaml is damaged.
    """
    name = run.checkpoint.name
    weights = f"{WEIGHTS[name]} ({name})" if name in WEIGHTS else name
    common = [fact for fact in run_facts(run) if fact[0] != "checkpoint"]
    return [*common, ("weights", weights), *result_facts(run)]


def result_facts(run: RunData) -> list[tuple[str, str]]:
    """Return the names and the values of the test results of a run; ``-`` for each unknown value.

    Args:
        run: The run.
    """
    metrics = run.summary.get("metrics", {})
    if run.network.spec.real_targets:
        names = ("test/loss", "test/loss_share")
    else:
        names = ("test/perplexity" if is_text(run) else "test/accuracy", "test/loss")
    weights = "" if run.checkpoint.name == BEST else f" (of {BEST})"
    return [
        (name.replace("/", " ").replace("_", " "), f"{metrics[name]:.4f}{weights}" if name in metrics else "-")
        for name in names
    ]
