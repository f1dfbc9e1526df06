import pytest
import torch
from torch import Tensor

from rnn_tasks.analysis.accuracy import accuracy_by_condition, accuracy_by_lag, accuracy_by_recall
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Copy, VariableDelayEcho


def echo() -> tuple[Batch, Tensor]:
    """Return an echo with several delays, and answers of which one third is wrong."""
    batch = VariableDelayEcho(max_delay=3).sample(40, "test", torch.Generator().manual_seed(0))
    wrong = torch.rand(batch.targets.shape, generator=torch.Generator().manual_seed(1)) < 1 / 3
    return batch, torch.where(wrong, batch.targets + 1, batch.targets)


def test_accuracy_by_condition_equals_a_loop_over_answers() -> None:
    batch, answers = echo()
    assert batch.condition is not None
    result = accuracy_by_condition(answers, batch)
    assert result.groups.tolist() == [0, 1, 2, 3]
    for delay, share, count in zip(*result, strict=True):
        pairs = [
            (answer, target)
            for answer_row, target_row, condition in zip(
                answers.tolist(), batch.targets.tolist(), batch.condition.tolist(), strict=True
            )
            for answer, target in zip(answer_row, target_row, strict=True)
            if condition == delay and target != NOT_SCORED
        ]
        assert count == len(pairs)
        assert share == pytest.approx(sum(answer == target for answer, target in pairs) / len(pairs))


def test_accuracy_by_recall_counts_steps_that_need_memory() -> None:
    """The blanks before these steps do not count, for sequences of any delay."""
    batch = Copy("arjovsky", num_symbols=3, delay=5, min_delay=1).sample(20, "test", torch.Generator().manual_seed(0))
    assert batch.memory is not None
    answers = batch.targets.clone()
    for row, needed in enumerate(batch.memory):
        answers[row, int(needed.nonzero()[1])] += 1  # the second symbol is always wrong
        answers[row, 0] += 1  # a blank, which does not count
    result = accuracy_by_recall(answers, batch)
    assert result.groups.tolist() == [0, 1, 2]
    assert result.share.tolist() == [1, 0, 1]
    assert result.counts.tolist() == [20, 20, 20]


def test_accuracy_by_lag_uses_conditions_if_there_are_any() -> None:
    batch, answers = echo()
    assert accuracy_by_lag(answers, batch).share.tolist() == accuracy_by_condition(answers, batch).share.tolist()
    without = batch._replace(condition=None)
    assert accuracy_by_lag(answers, without).share.tolist() == accuracy_by_recall(answers, without).share.tolist()
    assert len(accuracy_by_recall(answers, without).groups) == batch.inputs.shape[1]


def test_accuracy_functions_raise_for_unsuitable_batches() -> None:
    batch, answers = echo()
    with pytest.raises(UsageError, match="use accuracy_by_recall"):
        accuracy_by_condition(answers, batch._replace(condition=None))
    with pytest.raises(UsageError, match="no step of this batch needs memory"):
        accuracy_by_recall(answers, batch._replace(memory=torch.zeros_like(batch.inputs).bool()))
    with pytest.raises(UsageError, match=r"answers must have the shape \(40, 20\), got \(40, 19\)"):
        accuracy_by_recall(answers[:, 1:], batch)
