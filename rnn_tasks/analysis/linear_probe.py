"""Linear probes: which past symbols a linear readout finds in hidden states."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.arrays import Floats, Integers, Values, floats, integers
from rnn_tasks.errors import require


class Probe(NamedTuple):
    """The accuracy of linear probes for each lag; all arrays are ``(lags,)``.

    Attributes:
        lags: The number of steps since the network read the symbol.
        accuracy: Share of correctly predicted symbols, in sequences that were not used for fitting.
        chance: Share of the most common symbol in these sequences.
        low: Lower end of the chance band: probes that were fitted and scored on the symbols of other sequences.
        high: Upper end of the chance band.
        counts: The number of predicted symbols.
    """

    lags: Integers
    accuracy: Floats
    chance: Floats
    low: Floats
    high: Floats
    counts: Integers

    @property
    def lags_above_chance(self) -> list[int]:
        """The lags at which the accuracy is above both the chance band and the share of the most common symbol."""
        above: list[int] = self.lags[self.accuracy > np.maximum(self.high, self.chance)].tolist()
        return above


def split_sequences(num_sequences: int, train_share: float, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Return the indices of the sequences for fitting, and of those for scoring; the two are disjoint.

    Args:
        num_sequences: The number of sequences, ``>= 4``.
        train_share: Share of the sequences for fitting, ``0 < train_share < 1``; each part gets at least two.
        rng: Random-number generator for the split.

    Raises:
        UsageError: A value outside its bounds.
    """
    require(0 < train_share < 1, f"train_share must be above 0 and below 1, got {train_share}")
    require(num_sequences >= 4, f"a probe needs at least 4 sequences, got {num_sequences}: split the text into more")
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
    """Fit linear probes that predict, from the hidden state, the symbol that the network read ``lag`` steps earlier.

    The probe is a linear discriminant with a common covariance (Fisher 1936; Friedman, "Regularized discriminant
    analysis", Journal of the American Statistical Association 84, 1989). Its closed form is fast enough to fit a probe
    for each shuffle, cannot fail to converge if the symbols are perfectly separable, and predicts symbols whose means
    lie between others on a line, where least squares on one-hot targets fails (Hastie, Tibshirani and Friedman, "The
    Elements of Statistical Learning", section 4.2). An iteratively fitted probe could find somewhat more: a low
    accuracy does not prove that the states lack the symbol.

    Chance is measured with shuffles: probes fitted and scored in the same way, but with the symbols of another
    sequence. So symbols that depend only on the time step, such as the blanks of a copy task, are at chance. The band
    is the mean of the shuffles plus or minus three standard deviations, either of the shuffles or of the same number
    of independent guesses, whichever is larger.

    Args:
        states: Hidden states, ``(sequences, time, hidden)``, of at least four sequences.
        symbols: The symbols that the network read, ``(sequences, time)``.
        lags: Lags in steps, each in ``0..time - 1``; 0 is the most recent symbol.
        seed: Seed of the split and of the shuffles, ``>= 0``.
        train_share: Share of the sequences for fitting, ``0 < train_share < 1``.
        num_shuffles: The number of shuffles, ``>= 2``.
        where: The steps whose states are used, ``(sequences, time)`` bool; None for all. The first ``lag`` steps of a
            sequence are never used.
        ridge: Added to the covariance, as a share of the mean variance of a unit, ``> 0``.

    Raises:
        UsageError: A value outside its bounds, shapes that do not fit, states that are not finite, or a lag without
            any step for fitting or for scoring.

    Example:
        >>> symbols = np.random.default_rng(0).integers(0, 3, (40, 12))
        >>> states = np.eye(3)[np.roll(symbols, 2, axis=1)]  # the states hold the symbol of two steps earlier
        >>> linear_probe(states, symbols, range(5)).lags_above_chance
        [2]
    """
    hidden = floats(states, "states", 3)
    time = hidden.shape[1]
    read = integers(symbols, "symbols", hidden.shape[:2])
    usable = np.ones(read.shape, bool) if where is None else integers(where, "where", read.shape).astype(bool)
    require(len(lags) >= 1, "give at least one lag")
    require(min(lags) >= 0 and max(lags) < time, f"lags must be in 0..time - 1 ({time - 1}), got {[*lags]}")
    require(num_shuffles >= 2, f"num_shuffles must be at least 2, got {num_shuffles}")
    require(ridge > 0, f"ridge must be above 0, got {ridge}")
    require(seed >= 0, f"seed must be at least 0, got {seed}")
    rng = np.random.default_rng(seed)
    parts = split_sequences(len(hidden), train_share, rng)
    rows = []
    for lag in lags:
        used = usable[:, lag:]
        train, test = ((hidden[part, lag:][used[part]], used[part], read[part, : time - lag]) for part in parts)
        require(
            len(train[0]) > 0 and len(test[0]) > 0,
            f"lag {lag} leaves no step to fit or to score a probe: let where select more steps",
        )
        symbol_counts = np.unique(test[2][test[1]], return_counts=True)[1]
        accuracy = _test_accuracy(train, test, ridge)
        shuffled = [_test_accuracy(_shuffled(train, rng), _shuffled(test, rng), ridge) for _ in range(num_shuffles)]
        mean = float(np.mean(shuffled))
        # If all shuffles predict the most common symbol, their deviation is 0, and any lucky guess would be outside.
        deviation = max(float(np.std(shuffled, ddof=1)), np.sqrt(mean * (1 - mean) / len(test[0])))
        rows.append((accuracy, symbol_counts.max() / symbol_counts.sum(), mean - 3 * deviation, mean + 3 * deviation))
    accuracies, chance, low, high = np.array(rows).T
    counts = [int(usable[parts[1], lag:].sum()) for lag in lags]
    return Probe(np.array(lags, dtype=np.int64), accuracies, chance, low, high, np.array(counts, dtype=np.int64))


Part = tuple[Floats, NDArray[np.bool_], Integers]
"""The sequences for fitting or for scoring: the states ``(steps, hidden)``, a mask ``(sequences, time)`` of these
steps, and the symbols ``(sequences, time)`` to predict."""


def _shuffled(part: Part, rng: np.random.Generator) -> Part:
    """Return the part with the symbols of another sequence for each sequence, exchanged in a random cycle."""
    states, where, symbols = part
    order = rng.permutation(len(symbols))
    shuffled = np.empty_like(symbols)
    shuffled[order] = symbols[np.roll(order, 1)]
    return states, where, shuffled


def _test_accuracy(train: Part, test: Part, ridge: float) -> float:
    """Return the accuracy on ``test`` of a probe that is fitted on ``train``."""
    answers = discriminant(train[0], train[2][train[1]], test[0], ridge)
    return float((answers == test[2][test[1]]).mean())


def discriminant(states: Floats, symbols: Integers, new_states: Floats, ridge: float) -> Integers:
    """Classify new states by linear discriminant analysis: normal states for each symbol, with a common covariance.

    Args:
        states: States for fitting, ``(steps, hidden)``.
        symbols: The symbol of each state, ``(steps,)``.
        new_states: States to classify, ``(new steps, hidden)``.
        ridge: Added to the covariance, as a share of the mean variance of a unit, ``> 0``.

    Returns:
        The most likely symbol of each new state, ``(new steps,)``.
    """
    from scipy import linalg  # slow to import

    classes, index, counts = np.unique(symbols, return_inverse=True, return_counts=True)
    mean = states.mean(axis=0)
    centred = states - mean
    one_hot = (index == np.arange(len(classes))[:, None]).astype(np.float64)
    means = one_hot @ centred / counts[:, None]
    total = centred.T @ centred / len(states)
    within = total - (means * counts[:, None]).T @ means / len(states)
    # A share of the total variance, since the variance within symbols is 0 if the symbols are perfectly separated.
    added = ridge * np.trace(total) / len(total)
    if added == 0:  # all states are equal
        return np.full(len(new_states), classes[counts.argmax()])
    weights = linalg.solve(within + added * np.eye(len(within)), means.T, assume_a="pos")
    bias = np.log(counts / len(states)) - (means.T * weights).sum(axis=0) / 2
    answers: Integers = classes[((new_states - mean) @ weights + bias).argmax(axis=1)]
    return answers
