import torch

from rnn_tasks.spec import Batch
from rnn_tasks.spec.batch import joined
from rnn_tasks.tasks import Copy, VariableDelayEcho


def test_joined_batches_stand_one_below_the_other() -> None:
    task = VariableDelayEcho(test_sequences=20)
    one, two = task.train_batch(0), task.train_batch(1)
    both = joined([one, two])
    assert torch.equal(both.rows(0, len(one.inputs)).targets, one.targets)
    assert both.condition is not None
    assert two.condition is not None
    assert torch.equal(both.condition[len(one.inputs) :], two.condition)
    copy = Copy().train_batch(0)
    assert joined([copy, copy]).memory is not None
    assert torch.equal(joined([copy]).inputs, copy.inputs)


def test_joined_batches_that_continue_are_one_text() -> None:
    text = torch.arange(12).view(2, 6)
    parts = [Batch(text[:, i : i + 2], text[:, i : i + 2], continues=i > 0) for i in (0, 2, 4)]
    both = joined(parts)
    assert torch.equal(both.inputs, text)
    assert not both.continues
