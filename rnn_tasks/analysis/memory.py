"""How much a layer remembers of random numbers that it reads: its memory capacity."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnn_tasks.analysis.arrays import Floats, Integers, Values, floats
from rnn_tasks.cores import Core
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import require


class MemoryCapacity(NamedTuple):
    """The memory capacity of a layer.

    Attributes:
        total: The sum over the lags.
        lags: How many steps ago the input was, ``(lags,)``.
        by_lag: Squared correlation of each lag's readout with that input, in 0..1, ``(lags,)``.
        chance: What ``total`` is expected to be of a layer that remembers nothing.
    """

    total: float
    lags: Integers
    by_lag: Floats
    chance: float


def memory_capacity(
    states: Values,
    inputs: Values,
    max_lag: int,
    min_lag: int = 1,
    ridge: float = 1e-6,
    washout: int | None = None,
    test_share: float = 0.2,
) -> MemoryCapacity:
    """How much a linear readout finds of past inputs: the sum of its squared correlations with them, over the lags.

    Source: H. Jaeger, "Short term memory in echo state networks", GMD report 152 (2001). For independent inputs, the
    sum over all lags is at most the number of units. As there, lag 1 is the first: what a state holds of the input
    that was just read is not memory. A shift register of N units that has the input of this step in its first unit has
    so N - 1; with ``min_lag=0`` it has N.

    The readout is fitted on the first steps and scored on the last. On that, a readout of nothing still has a squared
    correlation of 1 / (scored steps - 1) on average, for each lag: ``chance`` is that sum, and is not subtracted.

    Args:
        states: Hidden states, ``(time, hidden)``.
        inputs: The input that was read at each step, ``(time,)``; independent draws, see :func:`white_noise`.
        max_lag: Longest lag, ``>= min_lag``. What is remembered for longer does not count; twice the number of units
            is usual.
        min_lag: Shortest lag, ``>= 0``.
        ridge: Penalty on the squared weights of the readout, beside its summed squared errors, ``>= 0``: what the
            states hold in less than about ``sqrt(ridge / steps)`` does not count, such as rounding errors.
        washout: First steps that are not used, ``>= max_lag``; None for ``max_lag``.
        test_share: Share of the other steps that the readout is scored on, ``0 < test_share < 1``.

    Raises:
        UsageError: A value outside its bounds, shapes that do not fit, values that are not finite, inputs that do not
            vary, or too few steps: fewer than units to fit the readout, or fewer than 3 to score it.

    Example:
        >>> inputs = white_noise(2000, seed=0)
        >>> states = np.stack([np.roll(inputs, lag) for lag in range(1, 6)], axis=1)  # a register of five units
        >>> round(memory_capacity(states, inputs, max_lag=10).total, 1)
        5.0
    """
    from sklearn.linear_model import Ridge  # two seconds, which nobody else should wait

    hidden = floats(states, "states", 2)
    signal = floats(inputs, "inputs", 1)
    require(len(signal) == len(hidden), f"there are {len(hidden)} states and {len(signal)} inputs")
    require(0 <= min_lag <= max_lag, f"lags must be in 0..max_lag, got {min_lag}..{max_lag}")
    start = max_lag if washout is None else washout
    require(start >= max_lag, f"washout must be at least max_lag ({max_lag}), got {start}")
    require(0 < test_share < 1, f"test_share must be above 0 and below 1, got {test_share}")
    require(ridge >= 0, f"ridge must be at least 0, got {ridge}")
    num_test = round(test_share * (len(signal) - start))
    num_train = len(signal) - start - num_test
    require(
        num_train > hidden.shape[1] and num_test >= 3,
        f"{len(signal)} steps leave {num_train} to fit a readout of {hidden.shape[1]} units, and {num_test} to score "
        "it: give more",
    )
    lags = np.arange(min_lag, max_lag + 1)
    past = np.stack([signal[start - lag : len(signal) - lag] for lag in lags], axis=1)
    require(bool((np.ptp(past[-num_test:], axis=0) > 0).all()), "inputs must vary, or there is nothing to remember")
    # svd: units that say the same, or nothing, do no harm
    readout = Ridge(alpha=ridge, solver="svd").fit(hidden[start:-num_test], past[:-num_test])
    said = readout.predict(hidden[-num_test:]).reshape(num_test, len(lags))
    by_lag = squared_correlation(said, past[-num_test:])
    return MemoryCapacity(float(by_lag.sum()), lags, by_lag, len(lags) / (num_test - 1))


def squared_correlation(one: Floats, other: Floats) -> Floats:
    """The squared correlation of each column of ``(time, columns)``; 0 where a column never changes."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    both, apart = (one * other).sum(axis=0), (one**2).sum(axis=0) * (other**2).sum(axis=0)
    # A readout of states that never change is constant up to rounding.
    varies = np.sqrt((one**2).sum(axis=0)) > 1e-12 * np.sqrt((other**2).sum(axis=0))
    correlation: Floats = np.divide(both**2, apart, out=np.zeros_like(both), where=varies & (apart > 0))
    return correlation


def white_noise(num_steps: int, seed: int) -> Floats:
    """Independent inputs, uniform in -1..1, ``(num_steps,)``.

    Args:
        num_steps: Steps, ``>= 1``.
        seed: Seed, ``>= 0``.

    Raises:
        UsageError: A value outside its bounds.

    Example:
        >>> white_noise(3, seed=0).round(2).tolist()
        [0.27, -0.46, -0.92]
    """
    require(num_steps >= 1, f"num_steps must be at least 1, got {num_steps}")
    require(seed >= 0, f"seed must be at least 0, got {seed}")
    return np.random.default_rng(seed).uniform(-1, 1, num_steps)


class ScalarInput(NamedTuple):
    """How a layer of several features reads one number u: it is given ``offset + u * direction``.

    Attributes:
        direction: ``(features,)``.
        offset: ``(features,)``.
    """

    direction: Tensor
    offset: Tensor


def scalar_input(encodings: Tensor, seed: int) -> ScalarInput:
    """A way into a trained layer for one number, among the inputs that the layer knows.

    A trained layer reads one vector for each symbol, so any other direction would meet weights that were never trained.
    The offset is the mean of these vectors. The direction is a random sum of their differences from it, and its length
    is the root mean square of theirs: with u in -1..1, its input moves no further than symbols move it.
    Features that are the same for all symbols, such as a condition, stay as they are.

    How much is remembered depends on the direction and, in a layer that is not linear, on the size of u: give several
    seeds, and several multiples of :func:`white_noise`.

    Args:
        encodings: What the layer reads for each symbol, ``(symbols, features)``, as from
            ``network.encode_symbols(torch.arange(num_symbols)[None])[0]``.
        seed: Seed of the direction.

    Raises:
        UsageError: Not two symbols that differ.

    Example:
        >>> entry = scalar_input(torch.eye(4), seed=0)
        >>> entry.offset, round(float(entry.direction.sum()), 6), round(float(entry.direction.norm() ** 2), 6)
        (tensor([0.2500, 0.2500, 0.2500, 0.2500]), 0.0, 0.75)
    """
    require(encodings.ndim == 2, f"encodings must be (symbols, features), got the shape {tuple(encodings.shape)}")
    wide = encodings.detach().double().cpu()
    offset = wide.mean(dim=0)
    differences = wide - offset
    length = differences.square().sum(dim=1).mean().sqrt()
    require(bool(length > 0), "a direction needs at least two symbols with different encodings")
    weights = torch.randn(len(wide), generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    direction = weights @ differences
    return ScalarInput((direction / direction.norm() * length).to(encodings), offset.to(encodings))


@torch.no_grad()
def drive(core: Core, inputs: Values, direction: Tensor, offset: Tensor | None = None) -> Floats:
    """The outputs of a layer that reads one number after the other, beginning with a state of zeros.

    For a layer with one feature, ``direction`` is ``torch.ones(1)``; for that of a trained model see
    :func:`scalar_input`. These outputs are the memory of an LSTM only in part: its cells are not among them.

    Args:
        core: The layer; it is run as in validation, without dropout.
        inputs: The numbers, ``(time,)``.
        direction: What a 1 adds to the layer's input, ``(input_size,)``, in the type and on the device of its weights.
        offset: What it reads beside, ``(input_size,)``; None for zeros.

    Returns:
        ``(time, hidden_size)``.

    Raises:
        UsageError: Shapes that do not fit, or values that are not finite.

    Example:
        >>> from rnn_tasks.cores import Elman
        >>> drive(Elman(1, 3), white_noise(5, seed=0), torch.ones(1)).shape
        (5, 3)
    """
    signal = floats(inputs, "inputs", 1)
    sizes = {weight.shape[-1] for weight in core.input_weights()} or {len(direction)}
    require(direction.shape in {(size,) for size in sizes}, f"direction must have {sizes.pop()} features")
    start = torch.zeros_like(direction) if offset is None else offset
    require(start.shape == direction.shape, f"offset must have {len(direction)} features, as direction has")
    fed = start + torch.from_numpy(signal).to(direction)[:, None] * direction
    with evaluation_mode(core):
        outputs, _ = core(fed[None])
    return floats(outputs[0], "outputs", 2)
