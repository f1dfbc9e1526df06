"""Find out whether the outputs of a layer depend on later inputs, which a recurrent layer must not."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import require

TOLERANCE = 1e-4
"""A change of an output counts from this share of the largest output: smaller changes can be rounding errors."""


class LookAhead(NamedTuple):
    """The evidence that a layer looks ahead.

    Attributes:
        output_step: The step of an output that depends on a later input, counted from 0.
        input_step: The step of this input, above ``output_step``.
        change: The largest change of this output after the input was changed; infinite if it became NaN or infinite.
        largest_output: The largest absolute value of the outputs, for comparison.
    """

    output_step: int
    input_step: int
    change: float
    largest_output: float

    @property
    def text(self) -> str:
        """The evidence as a sentence, whose steps are counted from 1."""
        return (
            f"the output at step {self.output_step + 1} changes by {self.change:.2g} if only the input at step "
            f"{self.input_step + 1} changes (the largest output is {self.largest_output:.2g})"
        )


@torch.no_grad()
def first_look_ahead(
    core: nn.Module, input_size: int, time_steps: int = 40, sequences: int = 2, seed: int = 0
) -> LookAhead | None:
    """Return the evidence that an output of a layer depends on a later input; None if no output does.

    The layer reads random sequences in evaluation mode. Then the input of a single step is replaced, for one step after
    another, and the outputs of all earlier steps are compared. So a layer that looks ahead by fewer than ``time_steps``
    steps is found. Random numbers that the layer draws are the same in all runs.

    Args:
        core: The layer, called as ``core(inputs, None)``, which returns its outputs first; a
            :class:`rnn_tasks.cores.Core`.
        input_size: The number of features of the layer's input.
        time_steps: The number of time steps of the sequences, ``>= 2``.
        sequences: The number of sequences, ``>= 1``.
        seed: Random seed of the sequences.

    Returns:
        The output and the later input with the largest change.

    Raises:
        UsageError: A number is outside its bounds.

    Example:
        >>> from rnn_tasks.cores import GRU
        >>> first_look_ahead(GRU(3, 4), 3)
    """
    require(time_steps >= 2, f"time_steps must be at least 2, got {time_steps}")
    require(sequences >= 1, f"sequences must be at least 1, got {sequences}")
    generator = torch.Generator().manual_seed(seed)
    weight = next((parameter for parameter in core.parameters() if parameter.is_floating_point()), torch.zeros(1))
    inputs, others = (torch.randn(sequences, time_steps, input_size, generator=generator).to(weight) for _ in range(2))
    evidence = None
    with evaluation_mode(core):
        before = outputs_of(core, inputs, seed)
        for step in range(1, time_steps):
            changed = inputs.clone()
            changed[:, step] = others[:, step]
            after = outputs_of(core, changed, seed)
            largest = max(largest_finite(before), largest_finite(after))
            changes = change(before[:, :step], after[:, :step]).flatten(2).amax((0, 2))
            most = float(changes.max())
            if most > max(TOLERANCE * largest, 0 if evidence is None else evidence.change):
                evidence = LookAhead(int(changes.argmax()), step, most, largest)
    return evidence


def outputs_of(core: nn.Module, inputs: Tensor, seed: int) -> Tensor:
    """Return the outputs of a layer, ``(batch, time, features)``, with the same random numbers for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        outputs: Tensor = core(inputs, None)[0]
    return outputs


def largest_finite(values: Tensor) -> float:
    """Return the largest absolute value that is finite; 0 if there is none."""
    return float(values.abs().nan_to_num(0, 0, 0).max())


def change(before: Tensor, after: Tensor) -> Tensor:
    """Return the absolute differences; 0 where both values are NaN or equally infinite, infinity where one is.

    Example:
        >>> change(torch.tensor([1.0, math.nan, math.inf, 0.0]), torch.tensor([3.0, math.nan, math.inf, math.nan]))
        tensor([2., 0., 0., inf])
    """
    same = (before == after) | (before.isnan() & after.isnan())
    return (before - after).abs().nan_to_num(math.inf, math.inf).masked_fill(same, 0)
