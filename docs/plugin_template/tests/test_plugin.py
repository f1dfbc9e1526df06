"""Tests of the plug-in; run them with pytest in an environment in which the plug-in is installed."""

import torch
from rnn_tasks_example.layer import LeakyRNN
from rnn_tasks_example.task import LETTERS, FirstLetter, first_letter

from rnn_tasks.spec import NOT_SCORED


def test_target_is_the_first_letter() -> None:
    batch = first_letter(torch.tensor([[2, 0, 7, 0]]))
    assert batch.inputs.tolist() == [[2, 0, 7, 0, len(LETTERS)]]
    assert batch.targets.tolist() == [[NOT_SCORED] * 4 + [2]]


def test_strings_are_read_as_the_task_draws_them() -> None:
    codec = FirstLetter(length=4).spec.codec
    assert codec is not None
    assert torch.equal(codec.encode(["caha"]).inputs, first_letter(torch.tensor([[2, 0, 7, 0]])).inputs)


def test_layer_continues_from_its_state() -> None:
    torch.manual_seed(0)
    layer, inputs = LeakyRNN(3, 5), torch.randn(2, 6, 3)
    whole, _ = layer(inputs)
    first, state = layer(inputs[:, :4])
    torch.testing.assert_close(torch.cat([first, layer(inputs[:, 4:], state)[0]], 1), whole)


def test_layer_with_leak_1_forgets_its_state() -> None:
    layer = LeakyRNN(3, 5, leak=1.0)
    torch.nn.init.zeros_(layer.weight_hh_l0)
    inputs = torch.randn(2, 6, 3)
    torch.testing.assert_close(layer(inputs)[0][:, -1:], layer(inputs[:, -1:])[0])
