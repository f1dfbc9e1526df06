import pytest
import torch

from rnn_tasks.analysis.first_failure import first_failure
from rnn_tasks.errors import UsageError
from rnn_tasks.tasks import Counting


def test_first_failure_of_a_counter_is_its_largest_number_plus_1() -> None:
    """A predictor whose counter stops at 6 ends longer strings too early."""
    exact_match = {}
    for n in range(1, 12):
        batch = Counting("an_bn").at_length(n).sample(1, "test", torch.Generator())
        answers, count = [], 0
        for symbol in batch.inputs[0].tolist():
            count = min(count + 1, 6) if symbol == 1 else count - 1 if symbol == 2 else 0
            answers.append(2 if count > 0 else 0)
        right = torch.tensor([answers]) == batch.targets
        exact_match[n] = float(right[batch.needs_memory].all())
    assert first_failure(exact_match) == 7


def test_first_failure_does_not_depend_on_the_order() -> None:
    assert first_failure({30: 0.0, 10: 1.0, 20: 0.99}) == 20


def test_first_failure_is_beyond_the_last_n_without_errors() -> None:
    assert first_failure({1: 1.0, 5: 1.0}) == 6


def test_first_failure_raises_without_a_number() -> None:
    with pytest.raises(UsageError, match="no n was tested"):
        first_failure({})
