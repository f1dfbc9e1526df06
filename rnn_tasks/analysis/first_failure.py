"""The smallest number up to which a network does not count."""

from collections.abc import Mapping

from rnn_tasks.errors import require


def first_failure(exact_match_by_n: Mapping[int, float]) -> int:
    """Return the first n of which a string is wrong, called e1 by Suzgun et al. (2019).

    Args:
        exact_match_by_n: The share of strings without an error, in 0..1, for each tested n. The accuracy by n gives the
            same result, since both are 1 only if no string is wrong.

    Returns:
        The smallest tested n with a share below 1; the largest tested n plus 1 if no string is wrong. Numbers between
        the tested ones are not known, so test all of them for an exact value.

    Raises:
        UsageError: No n was tested.

    References:
        M. Suzgun, Y. Belinkov and S. M. Shieber, "On evaluating the generalization of LSTM models in formal languages",
        SCiL 2019 (https://arxiv.org/abs/1811.01001).

    Example:
        >>> first_failure({1: 1.0, 2: 1.0, 3: 0.5, 4: 1.0})
        3
    """
    require(len(exact_match_by_n) > 0, "no n was tested")
    failed = [n for n, share in exact_match_by_n.items() if share < 1]
    return min(failed) if failed else max(exact_match_by_n) + 1
