import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import Chrono, GateBiases, MinLSTM
from rnn_tasks.errors import UsageError
from tests.helpers.step_loops import assert_equals_loop


@pytest.mark.parametrize("positive", [False, True])
def test_min_lstm_equals_its_equations_and_their_gradients(positive: bool) -> None:
    def by_step(weights: dict[str, Tensor], inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for x in inputs.unbind(1):
            terms = x @ weights["linear.weight"].T + weights["linear.bias"]
            forget, admit, new = torch.sigmoid(terms[:, :5]), torch.sigmoid(terms[:, 5:10]), terms[:, 10:]
            if positive:
                new = torch.where(new >= 0, new + 0.5, new.sigmoid())
            state = forget / (forget + admit) * state + admit / (forget + admit) * new
            outputs.append(state)
        return torch.stack(outputs, 1), state

    assert_equals_loop(MinLSTM(3, 5, positive=positive), by_step)


@pytest.mark.parametrize("positive", [False, True])
def test_min_lstm_equals_its_equations_in_numpy(positive: bool) -> None:
    core = MinLSTM(3, 4, positive=positive).double()
    weight, bias = core.linear.weight.detach().numpy(), core.linear.bias.detach().numpy()
    sequence, hidden = 3 * np.random.default_rng(0).normal(size=(80, 3)), np.zeros(4)
    inputs = torch.from_numpy(sequence)[None]
    steps = zip(sequence, core(inputs)[0][0], core.eigenvalues(inputs)["diagonal"][0], strict=True)
    for x, output, eigenvalues in steps:
        gates, new = 1 / (1 + np.exp(-(weight @ x + bias)[:8])), (weight @ x + bias)[8:]
        if positive:
            new = np.array([value + 0.5 if value >= 0 else 1 / (1 + np.exp(-value)) for value in new])
        keep = gates[:4] / (gates[:4] + gates[4:])
        hidden = keep * hidden + gates[4:] / (gates[:4] + gates[4:]) * new
        np.testing.assert_allclose(output.detach(), hidden, atol=1e-10)
        np.testing.assert_allclose(eigenvalues, keep, atol=1e-10)


def test_min_lstm_is_finite_when_both_gates_are_closed() -> None:
    core = MinLSTM(3, 4, gate_bias=GateBiases({"forget": -1e4, "input": -1e4}))
    inputs = torch.randn(2, 9, 3)
    core(inputs)[0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in core.parameters())
    assert core(inputs)[0].isfinite().all()


def test_min_lstm_starts_with_the_given_gate_biases() -> None:
    (keep,) = MinLSTM(3, 50, gate_bias=Chrono(20)).eigenvalues(torch.zeros(1, 1, 3)).values()
    assert keep.real.min() >= 1 / 2 - 1e-6
    assert 14 / 15 < keep.real.max() <= 19 / 20 + 1e-6


def test_min_lstm_rejects_arguments_outside_their_bounds() -> None:
    with pytest.raises(UsageError, match="hidden_size must be at least 1"):
        MinLSTM(3, 0)
    with pytest.raises(UsageError, match="no gate 'reset'"):
        MinLSTM(3, 4, gate_bias=GateBiases({"reset": 1.0}))


def test_min_lstm_writes_where_its_gate_rounds_to_1() -> None:
    core = MinLSTM(3, 4, gate_bias=GateBiases({"forget": 20.0, "input": -20.0, "new": 1.0}))
    torch.nn.init.zeros_(core.linear.weight)
    outputs, _ = core(torch.zeros(1, 1, 3))
    torch.testing.assert_close(outputs, torch.full((1, 1, 4), math.exp(-20)), rtol=1e-5, atol=0)
