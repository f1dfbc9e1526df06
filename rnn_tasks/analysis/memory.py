"""The memory capacity of a layer: how much a layer remembers of random numbers that it reads."""

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
        total: The memory capacity, the sum of ``by_lag``.
        lags: The number of steps since the layer read the input, ``(lags,)``.
        by_lag: Squared correlation of the readout with the input of each lag, in 0..1, ``(lags,)``.
        chance: The expected ``total`` of a layer that remembers nothing.
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
    """Return the memory capacity: the sum over lags of the squared correlation of a linear readout with past inputs.

    Source: H. Jaeger, "Short term memory in echo state networks", GMD report 152 (2001). For independent inputs, the
    sum over all lags is at most the number of units. As in this report, the first lag is 1: the current input is not
    memory. So a shift register of N units whose first unit holds the current input has the capacity N - 1; with
    ``min_lag=0``, N.

    The readout is fitted on the first steps and scored on the last steps. There, even a readout of random states has a
    mean squared correlation of 1 / (scored steps - 1) for each lag; ``chance`` is the sum, which is not subtracted.

    Args:
        states: Hidden states, ``(time, hidden)``.
        inputs: The layer's input at each step, ``(time,)``; independent draws, see :func:`white_noise`.
        max_lag: Largest lag, ``>= min_lag``; usually twice the number of units. Memory of earlier inputs is ignored.
        min_lag: Smallest lag, ``>= 0``.
        ridge: Ridge penalty on the weights of the readout, ``>= 0``. The readout ignores components of the states
            smaller than about ``sqrt(ridge / steps)``, such as rounding errors.
        washout: The number of initial steps that are not used, ``>= max_lag``; None for ``max_lag``.
        test_share: Share of the remaining steps for scoring the readout, ``0 < test_share < 1``.

    Raises:
        UsageError: A value outside its bounds, shapes that do not fit, values that are not finite, constant inputs, or
            too few steps: no more than units to fit the readout, or fewer than 3 to score it.

    Example:
        >>> inputs = white_noise(2000, seed=0)
        >>> states = np.stack([np.roll(inputs, lag) for lag in range(1, 6)], axis=1)  # a shift register of five units
        >>> round(memory_capacity(states, inputs, max_lag=10).total, 1)
        5.0
    """
    from sklearn.linear_model import Ridge  # takes two seconds to import

    hidden = floats(states, "states", 2)
    signal = floats(inputs, "inputs", 1)
    require(len(signal) == len(hidden), f"there are {len(hidden)} states and {len(signal)} inputs")
    require(0 <= min_lag <= max_lag, f"min_lag must be in 0..max_lag ({max_lag}), got {min_lag}")
    start = max_lag if washout is None else washout
    require(start >= max_lag, f"washout must be at least max_lag ({max_lag}), got {start}")
    require(0 < test_share < 1, f"test_share must be above 0 and below 1, got {test_share}")
    require(ridge >= 0, f"ridge must be at least 0, got {ridge}")
    num_test = round(test_share * (len(signal) - start))
    num_train = len(signal) - start - num_test
    require(
        num_train > hidden.shape[1] and num_test >= 3,
        f"{len(signal)} steps leave {num_train} to fit a readout of {hidden.shape[1]} units, and {num_test} to score "
        "it: use more steps",
    )
    lags = np.arange(min_lag, max_lag + 1)
    past = np.stack([signal[start - lag : len(signal) - lag] for lag in lags], axis=1)
    require(bool((np.ptp(past[-num_test:], axis=0) > 0).all()), "inputs must vary, got constant inputs")
    # The solver svd also works if units are equal or constant.
    readout = Ridge(alpha=ridge, solver="svd").fit(hidden[start:-num_test], past[:-num_test])
    predicted = readout.predict(hidden[-num_test:]).reshape(num_test, len(lags))
    by_lag = squared_correlation(predicted, past[-num_test:])
    return MemoryCapacity(float(by_lag.sum()), lags, by_lag, len(lags) / (num_test - 1))


def squared_correlation(one: Floats, other: Floats) -> Floats:
    """Return the squared correlation of each pair of columns of ``(time, columns)``; 0 for constant columns."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    covariance, variances = (one * other).sum(axis=0), (one**2).sum(axis=0) * (other**2).sum(axis=0)
    # A readout of constant states is constant up to rounding errors.
    varies = np.sqrt((one**2).sum(axis=0)) > 1e-12 * np.sqrt((other**2).sum(axis=0))
    squared: Floats = np.divide(covariance**2, variances, out=np.zeros_like(variances), where=varies & (variances > 0))
    return squared


def white_noise(num_steps: int, seed: int) -> Floats:
    """Return independent inputs, uniform in -1..1, ``(num_steps,)``.

    Args:
        num_steps: The number of steps, ``>= 1``.
        seed: Random seed, ``>= 0``.

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
    """The encoding of a number u as an input of a layer with several features: ``offset + u * direction``.

    Attributes:
        direction: The change of the input if u grows by 1, ``(features,)``.
        offset: The input if u is 0, ``(features,)``.
    """

    direction: Tensor
    offset: Tensor


def scalar_input(encodings: Tensor, seed: int) -> ScalarInput:
    """Return an encoding of numbers that stays within the range of inputs that a trained layer knows.

    A trained layer has only read the encodings of symbols; its weights are untrained for other directions. The offset
    is the mean of the encodings. The direction is a random combination of their differences from the mean, and its
    length is the root mean square of these differences, so for u in -1..1 the inputs vary as much as those of symbols.
    Features that are equal for all symbols, such as a condition, stay constant.

    The memory capacity depends on the direction and, for a nonlinear layer, on the size of u: use several seeds, and
    several multiples of :func:`white_noise`.

    Args:
        encodings: The layer's input for each symbol, ``(symbols, features)``, for instance
            ``network.encode_inputs(torch.arange(num_symbols)[None])[0]``.
        seed: Random seed of the direction.

    Raises:
        UsageError: There are not two symbols with different encodings.

    Example:
        >>> encoding = scalar_input(torch.eye(4), seed=0)
        >>> encoding.offset, round(float(encoding.direction.sum()), 6), round(float(encoding.direction.norm() ** 2), 6)
        (tensor([0.2500, 0.2500, 0.2500, 0.2500]), 0.0, 0.75)
    """
    require(encodings.ndim == 2, f"encodings must be (symbols, features), got the shape {tuple(encodings.shape)}")
    precise = encodings.detach().cpu().double()
    offset = precise.mean(dim=0)
    differences = precise - offset
    length = differences.square().sum(dim=1).mean().sqrt()
    require(bool(length > 0), "a direction needs at least two symbols with different encodings")
    weights = torch.randn(len(precise), generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    direction = weights @ differences
    return ScalarInput((direction / direction.norm() * length).to(encodings), offset.to(encodings))


@torch.no_grad()
def drive(core: Core, inputs: Values, direction: Tensor, offset: Tensor | None = None) -> Floats:
    """Return the outputs of a layer that reads a sequence of numbers, starting from a state of zeros.

    For a layer with one feature, use ``torch.ones(1)`` as ``direction``; for the layer of a trained model, see
    :func:`scalar_input`. The outputs of an LSTM do not include its cells, which are part of its memory.

    Args:
        core: The layer; it runs in evaluation mode, without dropout.
        inputs: The numbers, ``(time,)``.
        direction: See :class:`ScalarInput`, ``(input_size,)``, with the type and device of the layer's weights.
        offset: See :class:`ScalarInput`, ``(input_size,)``; None for zeros.

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
    require(
        direction.shape in {(size,) for size in sizes},
        f"direction must have the shape ({sizes.pop()},), got {tuple(direction.shape)}",
    )
    offset = torch.zeros_like(direction) if offset is None else offset
    require(
        offset.shape == direction.shape,
        f"offset must have the shape ({len(direction)},), as direction, got {tuple(offset.shape)}",
    )
    encoded_inputs = offset + torch.from_numpy(signal).to(direction)[:, None] * direction
    with evaluation_mode(core):
        outputs, _ = core(encoded_inputs[None])
    return floats(outputs[0], "outputs", 2)
