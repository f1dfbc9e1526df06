"""Scores of predictors that know which symbols occurred, but not their order."""

import math
from functools import cache

import numpy as np
from numpy.polynomial.polynomial import polypow


@cache
def unordered_accuracy(num_symbols: int, alphabet_size: int) -> float:
    """Return the accuracy of a predictor that knows how often each symbol occurred, but not where.

    The symbols are drawn independently, all equally likely, and one of them is asked for. The predictor names the most
    frequent symbol, so its accuracy is the expected largest number of occurrences divided by ``num_symbols``.

    Args:
        num_symbols: Number of symbols that are drawn, n, ``>= 1``.
        alphabet_size: Number of different symbols, A, ``>= 1``.

    Returns:
        The exact accuracy. The probability that no symbol occurs more than m times is the coefficient of ``x ** n`` in
        ``(sum of x ** j / j! for j = 0..m) ** A``, times ``n! / A ** n``.

    Example:
        >>> round(unordered_accuracy(4, 10), 4)
        0.3835
    """
    # Poisson probabilities with mean n / A in place of 1 / j! keep the coefficients within the range of floats.
    mean = num_symbols / alphabet_size
    weights = [math.exp(j * math.log(mean) - mean - math.lgamma(j + 1)) for j in range(num_symbols + 1)]
    total = math.exp(num_symbols * math.log(num_symbols) - num_symbols - math.lgamma(num_symbols + 1))
    expected = 0.0
    for most in range(num_symbols):  # the expected maximum is the sum of P(maximum > most)
        coefficients = polypow(np.array(weights[: most + 1]), alphabet_size, maxpower=alphabet_size)
        within = float(coefficients[num_symbols]) / total if len(coefficients) > num_symbols else 0.0
        expected += 1 - within
    return expected / num_symbols


@cache
def unordered_loss(num_symbols: int, alphabet_size: int) -> float:
    """Return the loss of a predictor that knows how often each symbol occurred, but not where, in nats.

    The predictor gives each symbol its share of the occurrences. The number of other occurrences of the right symbol is
    binomial, so the loss is a sum over this number.

    Args:
        num_symbols: Number of symbols that are drawn, ``>= 1``.
        alphabet_size: Number of different symbols, ``>= 1``.

    Example:
        >>> round(unordered_loss(2, 2), 4)  # half of the pairs are equal; ln 2 for the others
        0.3466
    """
    others, share = num_symbols - 1, 1 / alphabet_size
    return math.fsum(
        math.comb(others, equal) * share**equal * (1 - share) ** (others - equal) * math.log(num_symbols / (equal + 1))
        for equal in range(num_symbols)
    )
