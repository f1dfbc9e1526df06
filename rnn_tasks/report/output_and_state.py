"""Tell the hidden state that the readout reads from the state that the layer carries."""

from collections.abc import Sequence
from functools import partial

from rnn_tasks.analysis.flow import flat_size, output_is_state
from rnn_tasks.networks import layer_name
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.blocks import Block, Paragraph
from rnn_tasks.report.run_data import RunData, attempt


def other_states(runs: Sequence[RunData]) -> list[Block]:
    """Return a paragraph about each run whose hidden states are not a part of the state that its layer carries.

    Args:
        runs: The runs.
    """
    blocks: list[Block] = []
    for run in runs:
        size = attempt([], "", partial(size_of_other_state, run))  # other parts of the page name what is missing
        if size is not None:
            text = (
                "In this section, the hidden state is the output of the layer at a step, which the readout reads. "
                f"The layer, {layer_name(run.network.core)}, carries another state from step to step, of {size:,} "
                "numbers. Gradients, Jacobians, Lyapunov exponents and fixed points are those of that state."
            )
            blocks.append(Paragraph(labelled(runs, run, text)))
    return blocks


def size_of_other_state(run: RunData) -> int | None:
    """Return the number of numbers in the state of a run's layer; None if the state contains the layer's output."""
    if run.batch is None or output_is_state(run.network, run.batch):
        return None
    return flat_size(run.network, run.batch)
