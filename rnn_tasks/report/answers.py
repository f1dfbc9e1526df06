"""What a network answers, and how runs are named where several stand side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnn_tasks.analysis.flow import evaluating
from rnn_tasks.networks import Network
from rnn_tasks.report.run_data import RunData
from rnn_tasks.spec import Batch


@torch.no_grad()
def answers(network: Network, batch: Batch) -> Tensor:
    """Return the likeliest symbol at each step, ``(batch, time)``.

    Args:
        network: The network.
        batch: What it reads, from a state of zeros.
    """
    with evaluating(network):
        logits: Tensor = network(batch.inputs, batch.padded_condition())[0][: batch.num_sequences]
    return logits.argmax(-1)


def is_text(run: RunData) -> bool:
    """Return whether a run predicts the characters of a text."""
    return run.network.spec.vocabulary is not None


def short_names(runs: Sequence[RunData], one: str) -> list[str]:
    """Return short names: the letters of several runs, or a given word for a single run.

    Args:
        runs: The runs.
        one: The word.
    """
    return [one] if len(runs) == 1 else [run.letter for run in runs]


def labelled(runs: Sequence[RunData], run: RunData, what: str) -> str:
    """Return a text about a run, which begins with its name if there are several runs.

    Args:
        runs: All runs.
        run: The one that lacks it.
        what: What it lacks.
    """
    return what if len(runs) == 1 else f"{run.label}: {what}"


def picture_name(runs: Sequence[RunData], run: RunData, name: str) -> str:
    """Return the name of a picture that each run has for itself.

    Args:
        runs: All runs.
        run: The one that is drawn.
        name: What is drawn.
    """
    return name if len(runs) == 1 else f"{name}_{run.letter.lower()}"
