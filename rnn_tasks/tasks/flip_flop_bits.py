"""Flip-flop with real values: keep the sign of the last pulse of each channel."""

from typing import Any, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask


def flip_flop_bits(pulses: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and lags of flip-flop sequences.

    ::

        time        0  1  2  3  4  5
        channel 0   +  .  -  .  .  .
        target      +  +  -  -  -  -
        channel 1   -  .  .  -  +  .
        target      -  -  -  -  +  +
        lag         0  1  2  1  2  3

    '+' and '-' are the values 1 and -1, '.' is 0. The lag is the number of steps since the last pulse, of the channel
    where it is largest.

    Args:
        pulses: 1, -1, or 0 for no pulse, ``(batch, time, channels)`` float; each channel has a pulse at the first step.

    Returns:
        Targets, with the shape of ``pulses``, and lags, ``(batch, time)`` int64.
    """
    time = torch.arange(pulses.shape[1])[:, None]
    last_pulse = torch.where(pulses != 0, time, 0).cummax(1).values
    return pulses.gather(1, last_pulse), (time - last_pulse).amax(-1)


class FlipFlopBits(GeneratedTask):
    """Keep the sign of the last pulse in each of several channels.

    At each step, each channel has a pulse of 1 or -1, or the value 0. The target of each channel is its last pulse. All
    steps are scored by the mean squared error over the channels. A network that solves the task with three channels has
    eight stable states, one for each combination of signs. Results are sorted by the lag: the age of the oldest pulse
    that the answer needs.

    Args:
        length: Number of steps, ``>= 1``.
        num_channels: Number of channels, ``>= 1``.
        pulse_probability: Probability of a pulse in each channel at each step, ``0 < pulse_probability < 1``. All
            channels have a pulse at the first step.
        options: Options of :class:`GeneratedTask`. ``eval_lengths`` are numbers of steps.

    Raises:
        UsageError: A value is out of bounds.

    References:
        D. Sussillo and O. Barak, "Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
        networks", Neural Computation 25(3), 2013 (https://doi.org/10.1162/NECO_a_00409). The defaults are those of
        https://github.com/mattgolub/fixed-point-finder.

    Example:
        >>> task = FlipFlopBits(length=5, batch_size=2)
        >>> task.train_batch(0).targets.shape
        torch.Size([2, 5, 3])
    """

    def __init__(self, length: int = 64, num_channels: int = 3, pulse_probability: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        require(length >= 1, f"length must be at least 1, got {length}")
        require(num_channels >= 1, f"num_channels must be at least 1, got {num_channels}")
        require(0 < pulse_probability < 1, f"pulse_probability must be above 0 and below 1, got {pulse_probability}")
        self.length = length
        self.training_length = length
        self.num_channels = num_channels
        self.pulse_probability = pulse_probability

    @property
    def spec(self) -> TaskSpec:
        """Each channel is an input feature and an output."""
        return TaskSpec(self.num_channels, self.num_channels, real_inputs=True, real_targets=True)

    @property
    def baseline(self) -> Baseline:
        """A predictor that always returns 0, the mean target: a mean squared error of 1."""
        return Baseline(1.0, name="mean")

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """A predictor without memory, and the best linear filter, for T steps, a pulse probability p, and q = 1 - p.

        Without memory, a predictor returns the pulses of the current step, and 0 without a pulse: q (T - 1) / T. The
        best linear filter returns the sum of all pulses with the weights 1, q, q^2, ... from the latest to the first:
        the mean over t = 0..T - 1 of q / (1 + q) (1 - q^(2 t)), which is close to q / (1 + q).
        """
        q, steps = 1 - self.pulse_probability, self.length
        linear = q / (1 + q) * (1 - (1 - q ** (2 * steps)) / (1 - q * q) / steps)
        return Plateau("without memory", q * (steps - 1) / steps), Plateau("linear filter of the pulses", linear)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the age of the oldest pulse that the answer needs, in steps."""
        return Grouping("lag", self.length)

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random pulses."""
        shape = (num_sequences, self.length, self.num_channels)
        signs = 2.0 * torch.randint(0, 2, shape, generator=generator) - 1
        has_pulse = torch.rand(shape, generator=generator) < self.pulse_probability
        has_pulse[:, 0] = True
        pulses = signs * has_pulse
        targets, lags = flip_flop_bits(pulses)
        return Batch(pulses, targets, group=lags)
