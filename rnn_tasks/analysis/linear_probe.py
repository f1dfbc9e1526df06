"""What a linear readout finds of the past in hidden states."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.arrays import Floats, Integers, Values, floats, integers
from rnn_tasks.errors import require


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
