"""Answers of a network, and names of runs in captions and files."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnn_tasks.analysis.flow import evaluating
from rnn_tasks.networks import Network
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.summary_text import SQUARED_ERROR
from rnn_tasks.spec import Batch


@torch.no_grad()
def answers(network: Network, batch: Batch) -> Tensor:
    """Return the most likely symbol at each step, ``(batch, time)``, or the real values, ``(batch, time, outputs)``.

    Args:
        network: The network.
        batch: The sequences that the network reads, from a state of zeros.
    """
    with evaluating(network):
        outputs: Tensor = network(batch.inputs, batch.padded_condition())[0][: batch.num_sequences]
    return outputs if network.spec.real_targets else outputs.argmax(-1)


def is_text(run: RunData) -> bool:
    """Return whether a run predicts the characters of a text."""
    return run.network.spec.vocabulary is not None


def has_values(run: RunData) -> bool:
    """Return whether a run predicts real values."""
    return run.network.spec.real_targets


def loss_unit(run: RunData) -> str:
    """Return the unit of the mean loss of a run."""
    return "nats per character" if is_text(run) else SQUARED_ERROR if has_values(run) else "nats per step"


def short_names(runs: Sequence[RunData], single: str) -> list[str]:
    """Return the letters of several runs, or the given name for a single run.

    Args:
        runs: The runs.
        single: The name for a single run.
    """
    return [single] if len(runs) == 1 else [run.letter for run in runs]


def labelled(runs: Sequence[RunData], run: RunData, text: str) -> str:
    """Return a text about a run, which begins with the letter of the run if there are several runs.

    Args:
        runs: All runs.
        run: The run.
        text: The text.
    """
    return text if len(runs) == 1 else f"{run.letter}: {text}"


def picture_name(runs: Sequence[RunData], run: RunData, name: str) -> str:
    """Return the file name of a picture of one run.

    Args:
        runs: All runs.
        run: The run of the picture.
        name: The name of the picture for a single run.
    """
    return name if len(runs) == 1 else f"{name}_{run.letter.lower()}"
