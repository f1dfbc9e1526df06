"""What a network remembers: its right answers by delay, and what a linear readout finds of the past in its state."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnn_tasks.cores import Core
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import require
from rnn_tasks.spec import Batch

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Values = Tensor | NDArray[Any]
"""Numbers as torch or NumPy has them."""


def floats(values: Values, name: str, ndim: int) -> Floats:
    """Values as a NumPy array in double precision.

    Args:
        values: The values.
        name: How a message calls them.
        ndim: The dimensions that they must have.

    Raises:
        UsageError: Other dimensions, or a value that is not finite.
    """
    found = values.detach().double().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    require(found.ndim == ndim, f"{name} must have {ndim} dimensions, got the shape {found.shape}")
    require(bool(np.isfinite(found).all()), f"{name} must be finite: the network has diverged")
    return found


def integers(values: Values, name: str, shape: tuple[int, ...]) -> Integers:
    """Symbols as a NumPy array.

    Args:
        values: The symbols.
        name: How a message calls them.
        shape: The shape that they must have.

    Raises:
        UsageError: Another shape.
    """
    found = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    require(found.shape == shape, f"{name} must have the shape {shape}, got {found.shape}")
    return found.astype(np.int64)


class Shares(NamedTuple):
    """Shares of right answers.

    Attributes:
        at: What they are the shares of: conditions, or positions, ``(n,)``.
        share: Right answers over all, in 0..1, ``(n,)``.
        counts: All answers, ``(n,)``.
    """

    at: Integers
    share: Floats
    counts: Integers


def shares(right: NDArray[np.bool_], groups: Integers) -> Shares:
    """The share of right answers in each group.

    Args:
        right: Whether each answer is right, ``(answers,)``.
        groups: The group of each answer, ``(answers,)``.

    Returns:
        Only the groups that occur, in their order.

    Example:
        >>> shares(np.array([True, False, True]), np.array([0, 0, 5])).share.tolist()
        [0.5, 1.0]
    """
    at, place = np.unique(groups, return_inverse=True)
    count = np.bincount(place, minlength=len(at))
    return Shares(at, np.bincount(place, right, len(at)) / count, count)


def _needed(answers: Values, batch: Batch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which answers are right, and which need memory, both ``(batch, time)``."""
    targets = batch.targets.cpu().numpy()
    given = integers(answers, "answers", targets.shape)
    needed = (batch.scored if batch.memory is None else batch.memory & batch.scored).cpu().numpy()
    require(bool(needed.any()), "no step of this batch needs memory")
    return given == targets, needed


def accuracy_by_condition(answers: Values, batch: Batch) -> Shares:
    """The share of right answers for each condition, such as the delay of an echo.

    Args:
        answers: The network's symbols, ``(batch, time)``.
        batch: A batch with conditions.

    Returns:
        Shares of the steps that need memory, by ``Batch.condition``.

    Raises:
        UsageError: A batch without conditions or without a step that needs memory, or another shape.

    Example:
        >>> targets = torch.tensor([[5, 6], [7, 8]])
        >>> batch = Batch(targets, targets, condition=torch.tensor([0, 3]))
        >>> accuracy_by_condition(torch.tensor([[5, 6], [7, 0]]), batch).share.tolist()
        [1.0, 0.5]
    """
    right, needed = _needed(answers, batch)
    require(batch.condition is not None, "this batch has no conditions: use accuracy_by_recall")
    assert batch.condition is not None
    groups = np.broadcast_to(batch.condition.cpu().numpy()[:, None], right.shape)
    return shares(right[needed], groups[needed])


def accuracy_by_recall(answers: Values, batch: Batch) -> Shares:
    """The share of right answers for each place in the recall: 0 is the first step of a sequence that needs memory.

    Args:
        answers: The network's symbols, ``(batch, time)``.
        batch: The batch.

    Returns:
        Shares of the steps that need memory.

    Raises:
        UsageError: A batch without a step that needs memory, or another shape.

    Example:
        >>> batch = Batch(torch.zeros(1, 4).long(), torch.tensor([[-100, -100, 5, 6]]))
        >>> accuracy_by_recall(torch.tensor([[0, 0, 5, 0]]), batch).share.tolist()
        [1.0, 0.0]
    """
    right, needed = _needed(answers, batch)
    return shares(right[needed], (needed.cumsum(axis=1) - 1)[needed])


def accuracy_by_lag(answers: Values, batch: Batch) -> Shares:
    """:func:`accuracy_by_condition` where the batch has conditions, else :func:`accuracy_by_recall`."""
    return (accuracy_by_recall if batch.condition is None else accuracy_by_condition)(answers, batch)


class Probe(NamedTuple):
    """What linear probes read out of hidden states, lag by lag; all arrays are ``(lags,)``.

    Attributes:
        lags: How many steps ago the symbol was.
        accuracy: Share of the symbols that were read rightly, in sequences that the probe was not fitted on.
        chance: Share of the commonest symbol there.
        low: Lower end of the band in which probes lie that were fitted and scored on other sequences' symbols.
        high: Upper end of the band.
        counts: Symbols that were read.
    """

    lags: Integers
    accuracy: Floats
    chance: Floats
    low: Floats
    high: Floats
    counts: Integers

    @property
    def lags_above_chance(self) -> list[int]:
        """The lags at which the accuracy is above both the band and the share of the commonest symbol."""
        above: list[int] = self.lags[self.accuracy > np.maximum(self.high, self.chance)].tolist()
        return above


def split_sequences(num_sequences: int, train_share: float, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Numbers of the sequences for fitting and of those for scoring; no sequence is in both.

    Args:
        num_sequences: Sequences, ``>= 4``.
        train_share: Share of them for fitting, ``0 < train_share < 1``; at least two are left for either.
        rng: Chooses them.

    Raises:
        UsageError: A value outside its bounds.
    """
    require(0 < train_share < 1, f"train_share must be above 0 and below 1, got {train_share}")
    require(num_sequences >= 4, f"a probe needs at least 4 sequences, got {num_sequences}: cut the text into more")
    num_train = min(max(2, round(train_share * num_sequences)), num_sequences - 2)
    order = rng.permutation(num_sequences)
    return order[:num_train], order[num_train:]


def linear_probe(
    states: Values,
    symbols: Values,
    lags: Sequence[int],
    seed: int = 0,
    train_share: float = 0.7,
    num_shuffles: int = 20,
    where: Values | None = None,
    ridge: float = 1e-3,
) -> Probe:
    """How well a linear readout of the hidden state says which symbol was read some steps ago.

    The probe is a linear discriminant with a common covariance (Fisher 1936; Friedman, "Regularized discriminant
    analysis", Journal of the American Statistical Association 84, 1989). It is solved at once, so it is quick enough to
    be fitted anew for each shuffle, has no iteration that may not converge where symbols can be separated perfectly,
    and reads symbols that lie between others on a line, as least squares to one-hot targets does not (Hastie,
    Tibshirani and Friedman, "The Elements of Statistical Learning", section 4.2). A probe that is fitted by iteration
    could read somewhat more: what this one reads is there, what it does not read may yet be.

    Whether that is above chance, the shuffles decide: probes fitted and scored in the same way, but on states paired
    with the symbols of another sequence, step by step. So what a network knows by counting time alone, such as where
    the blanks of a copy are, is chance. The band is the mean of the shuffles and three standard deviations to either
    side: theirs, or that of as many independent guesses, whichever is wider.

    Args:
        states: Hidden states, ``(sequences, time, hidden)``, of at least four sequences.
        symbols: What was read, ``(sequences, time)``.
        lags: Steps into the past, each in ``0..time - 1``; 0 is the symbol that was read last.
        seed: Seed of the split and of the shuffles, ``>= 0``.
        train_share: Share of the sequences that the probes are fitted on, ``0 < train_share < 1``.
        num_shuffles: Shuffles, ``>= 2``.
        where: The steps at which the state is read, ``(sequences, time)`` bool; None for all. Those without a symbol
            that many steps ago are left out.
        ridge: Added to the covariance, as a share of the mean variance of a unit, ``> 0``.

    Raises:
        UsageError: A value outside its bounds, shapes that do not fit, states that are not finite, or a lag for which
            one of the two parts has no step.

    Example:
        >>> symbols = np.random.default_rng(0).integers(0, 3, (40, 12))
        >>> states = np.eye(3)[np.roll(symbols, 2, axis=1)]  # a memory of what was two steps ago
        >>> linear_probe(states, symbols, range(5)).lags_above_chance
        [2]
    """
    hidden = floats(states, "states", 3)
    time = hidden.shape[1]
    read = integers(symbols, "symbols", hidden.shape[:2])
    usable = np.ones(read.shape, bool) if where is None else integers(where, "where", read.shape).astype(bool)
    require(len(lags) >= 1, "give at least one lag")
    require(min(lags) >= 0 and max(lags) < time, f"lags must be in 0..{time - 1}, the steps there are, got {[*lags]}")
    require(num_shuffles >= 2, f"num_shuffles must be at least 2, got {num_shuffles}")
    require(ridge > 0, f"ridge must be above 0, got {ridge}")
    require(seed >= 0, f"seed must be at least 0, got {seed}")
    rng = np.random.default_rng(seed)
    parts = split_sequences(len(hidden), train_share, rng)
    rows = []
    for lag in lags:
        late = usable[:, lag:]
        train, test = ((hidden[part, lag:][late[part]], late[part], read[part, : time - lag]) for part in parts)
        require(len(train[0]) > 0 and len(test[0]) > 0, f"no step at which to read lag {lag}")
        there = np.unique(test[2][test[1]], return_counts=True)[1]
        accuracy = _held_out(train, test, ridge)
        others = [_held_out(_exchanged(train, rng), _exchanged(test, rng), ridge) for _ in range(num_shuffles)]
        middle = float(np.mean(others))
        # Shuffles that all say the commonest symbol do not spread at all, and one lucky guess would be outside.
        spread = max(float(np.std(others, ddof=1)), np.sqrt(middle * (1 - middle) / len(test[0])))
        rows.append((accuracy, there.max() / there.sum(), middle - 3 * spread, middle + 3 * spread))
    accuracies, chance, low, high = np.array(rows).T
    counts = [int(usable[parts[1], lag:].sum()) for lag in lags]
    return Probe(np.array(lags, dtype=np.int64), accuracies, chance, low, high, np.array(counts, dtype=np.int64))


Part = tuple[Floats, NDArray[np.bool_], Integers]
"""Some sequences of a probe: the states that are read ``(steps, hidden)``, where they stand in ``(sequences, time)``,
and the symbol that belongs to each place there."""


def _exchanged(part: Part, rng: np.random.Generator) -> Part:
    """The same with another sequence's symbols for each, in a random cycle, so that none keeps its own."""
    states, where, symbols = part
    order = rng.permutation(len(symbols))
    exchanged = np.empty_like(symbols)
    exchanged[order] = symbols[np.roll(order, 1)]
    return states, where, exchanged


def _held_out(train: Part, test: Part, ridge: float) -> float:
    """The accuracy in one part of a probe that was fitted in the other."""
    answers = discriminant(train[0], train[2][train[1]], test[0], ridge)
    return float((answers == test[2][test[1]]).mean())


def discriminant(states: Floats, symbols: Integers, new_states: Floats, ridge: float) -> Integers:
    """The likeliest symbol of new states, if those of a symbol are normal with a covariance that all symbols share.

    Args:
        states: ``(steps, hidden)``.
        symbols: The symbol of each, ``(steps,)``.
        new_states: ``(new steps, hidden)``.
        ridge: Added to the covariance, as a share of the mean variance of a unit, ``> 0``.

    Returns:
        ``(new steps,)``.
    """
    from scipy import linalg  # takes a while to load

    kinds, place, count = np.unique(symbols, return_inverse=True, return_counts=True)
    middle = states.mean(axis=0)
    centred = states - middle
    belongs = (place == np.arange(len(kinds))[:, None]).astype(np.float64)
    means = belongs @ centred / count[:, None]
    total = centred.T @ centred / len(states)
    within = total - (means * count[:, None]).T @ means / len(states)
    # Of the whole variance, not of that within symbols, which is nothing where they are separated perfectly.
    added = ridge * np.trace(total) / len(total)
    if added == 0:  # the state never changes
        return np.full(len(new_states), kinds[count.argmax()])
    weights = linalg.solve(within + added * np.eye(len(within)), means.T, assume_a="pos")
    bias = np.log(count / len(states)) - (means.T * weights).sum(axis=0) / 2
    answers: Integers = kinds[((new_states - middle) @ weights + bias).argmax(axis=1)]
    return answers


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
