import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import StackRNN
from rnn_tasks.errors import UsageError


def softmax(values: np.ndarray) -> np.ndarray:
    weights: np.ndarray = np.exp(values - values.max())
    weights /= weights.sum()
    return weights


def stack_rnn_in_numpy(layer: StackRNN, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs and the last stacks for one sequence, cell by cell."""
    w = {name: values.detach().numpy() for name, values in layer.named_parameters()}
    hidden, stacks = np.zeros(layer.hidden_size), np.zeros((layer.num_stacks, layer.stack_depth, layer.cell_size))
    outputs = []
    for x in sequence:
        terms = w["weight_ih_l0"] @ x + w["bias_ih_l0"] + w["weight_hh_l0"] @ hidden
        hidden = np.tanh(terms + w["weight_stack"] @ stacks[:, 0].reshape(-1))
        actions = (w["actions.weight"] @ hidden + w["actions.bias"]).reshape(layer.num_stacks, 3)
        values = (w["values.weight"] @ hidden + w["values.bias"]).reshape(layer.num_stacks, layer.cell_size)
        before = stacks.copy()
        for stack in range(layer.num_stacks):
            push, pop, keep = softmax(actions[stack])
            for i in range(layer.stack_depth):
                above = values[stack] if i == 0 else before[stack, i - 1]
                below = before[stack, i + 1] if i + 1 < layer.stack_depth else 0
                stacks[stack, i] = push * above + pop * below + keep * before[stack, i]
        outputs.append(hidden)
    return np.stack(outputs), stacks


@pytest.mark.parametrize("stacks", [1, 2])
def test_stack_rnn_follows_its_equations(stacks: int) -> None:
    torch.manual_seed(0)
    layer = StackRNN(3, 5, num_stacks=stacks, stack_depth=4, cell_size=2).double()
    inputs = torch.randn(1, 9, 3).double()
    outputs, (hidden, stack) = layer(inputs)
    expected, expected_stack = stack_rnn_in_numpy(layer, inputs[0].numpy())
    np.testing.assert_allclose(outputs[0].detach().numpy(), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(stack[0].detach().numpy(), expected_stack, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(hidden[0].detach().numpy(), expected[-1], rtol=1e-10, atol=1e-10)


def reverser(symbols: int, depth: int) -> StackRNN:
    """Return a layer that pushes each symbol, and pops at a marker; its last units show the popped symbol.

    The units are: one for each symbol read, one for the marker, one for each symbol on top of the stack.
    """
    layer = StackRNN(symbols + 1, 2 * symbols + 1, stack_depth=depth, cell_size=symbols)
    marker, symbol_units, top_units = symbols, slice(0, symbols), slice(symbols + 1, None)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0[: symbols + 1] = 50 * torch.eye(symbols + 1)
        layer.weight_stack[top_units] = 50 * torch.eye(symbols)
        layer.values.weight[:, symbol_units] = torch.eye(symbols)
        layer.actions.weight[:, marker] = torch.tensor([-200.0, 200.0, 0.0])  # push, pop, keep
        layer.actions.bias[:] = torch.tensor([100.0, -100.0, -100.0])
    return layer


def test_stack_rnn_with_set_weights_reverses_strings() -> None:
    length = 12
    strings = torch.randint(4, (20, length), generator=torch.Generator().manual_seed(0))
    steps = torch.cat([strings, torch.full((20, length), 4)], 1)
    outputs, (_, stack) = reverser(4, depth=length)(torch.nn.functional.one_hot(steps, 5).float())
    assert torch.equal(outputs[:, length:, 5:].argmax(2), strings.flip(1))
    assert torch.equal(outputs[:, length:, 5:].sum(2).round(), torch.ones(20, length))
    torch.testing.assert_close(stack, torch.zeros_like(stack))


def test_stack_loses_its_lowest_cell_when_it_is_full() -> None:
    one_hot: Tensor = torch.nn.functional.one_hot(torch.tensor([[0, 1, 2, 3, 4, 4, 4]]), 5).float()
    outputs, _ = reverser(4, depth=2)(one_hot)
    shown = outputs[0, 4:, 5:]
    torch.testing.assert_close(shown, torch.eye(4)[[3, 2, 0]] * torch.tensor([[1.0], [1.0], [0.0]]))


def test_each_stack_has_its_own_actions() -> None:
    layer = StackRNN(2, 3, num_stacks=2, stack_depth=3, cell_size=1)
    with torch.no_grad():
        layer.actions.bias[:] = torch.tensor([1e3, 0.0, 0.0, 0.0, 0.0, 1e3])  # push on the first, keep the second
    _, (_, stack) = layer(torch.randn(1, 1, 2))
    assert stack[0, 0, 0] != 0
    assert not stack[0, 1].any()


@pytest.mark.parametrize("name", ["hidden_size", "num_stacks", "stack_depth", "cell_size"])
def test_stack_rnn_rejects_sizes_below_1(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
        StackRNN(3, **{"hidden_size": 4, name: 0})
