import math
from collections import Counter
from itertools import product

import pytest

from rnn_tasks.tasks.unordered import unordered_accuracy, unordered_loss

SIZES = [(1, 3), (2, 2), (3, 1), (4, 3), (4, 10), (6, 4)]


@pytest.mark.parametrize(("num_symbols", "alphabet_size"), SIZES)
def test_scores_equal_the_mean_over_all_strings(num_symbols: int, alphabet_size: int) -> None:
    strings = list(product(range(alphabet_size), repeat=num_symbols))
    counts = [Counter(string).values() for string in strings]
    accuracy = math.fsum(max(count) / num_symbols for count in counts) / len(strings)
    loss = math.fsum(-n / num_symbols * math.log(n / num_symbols) for count in counts for n in count) / len(strings)
    assert unordered_accuracy(num_symbols, alphabet_size) == pytest.approx(accuracy, rel=1e-12)
    assert unordered_loss(num_symbols, alphabet_size) == pytest.approx(loss, rel=1e-12, abs=1e-15)


def test_scores_approach_chance_with_many_symbols() -> None:
    assert 0.5 < unordered_accuracy(200, 2) < 0.54
    assert 0.99 * math.log(2) < unordered_loss(200, 2) < math.log(2)
