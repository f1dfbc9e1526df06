import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import Chrono, GateBiases, MinGRU
from rnn_tasks.errors import UsageError
from tests.helpers.step_loops import assert_equals_loop


@pytest.mark.parametrize("positive", [False, True])
def test_min_gru_equals_its_equations_and_their_gradients(positive: bool) -> None:
    def by_step(weights: dict[str, Tensor], inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for x in inputs.unbind(1):
            terms = x @ weights["linear.weight"].T + weights["linear.bias"]
            gate, new = torch.sigmoid(terms[:, :5]), terms[:, 5:]
            if positive:
                new = torch.where(new >= 0, new + 0.5, new.sigmoid())
            state = gate * state + (1 - gate) * new
            outputs.append(state)
        return torch.stack(outputs, 1), state

    assert_equals_loop(MinGRU(3, 5, positive=positive), by_step)


@pytest.mark.parametrize("positive", [False, True])
def test_min_gru_equals_its_equations_in_numpy(positive: bool) -> None:
    core = MinGRU(3, 4, positive=positive).double()
    weight, bias = core.linear.weight.detach().numpy(), core.linear.bias.detach().numpy()
    sequence, hidden = 3 * np.random.default_rng(0).normal(size=(80, 3)), np.zeros(4)
    inputs = torch.from_numpy(sequence)[None]
    steps = zip(sequence, core(inputs)[0][0], core.eigenvalues(inputs)["diagonal"][0], strict=True)
    for x, output, eigenvalues in steps:
        gate, new = 1 / (1 + np.exp(-(weight @ x + bias)[:4])), (weight @ x + bias)[4:]
        if positive:
            new = np.array([value + 0.5 if value >= 0 else 1 / (1 + np.exp(-value)) for value in new])
        hidden = gate * hidden + (1 - gate) * new
        np.testing.assert_allclose(output.detach(), hidden, atol=1e-10)
        np.testing.assert_allclose(eigenvalues, gate, atol=1e-10)


def test_min_gru_with_positive_values_has_positive_states() -> None:
    outputs, _ = MinGRU(3, 20, positive=True)(10 * torch.randn(4, 30, 3))
    assert (outputs > 0).all()


def test_min_gru_starts_with_the_given_gate_biases() -> None:
    core = MinGRU(3, 50, gate_bias=Chrono(20))
    (keep,) = core.eigenvalues(torch.zeros(1, 1, 3)).values()
    assert keep.real.min() >= 1 / 2 - 1e-6
    assert 14 / 15 < keep.real.max() <= 19 / 20 + 1e-6
    assert torch.equal(MinGRU(3, 2, gate_bias=GateBiases({"new": 2.0})).linear.bias[2:], torch.full((2,), 2.0))


def test_min_gru_rejects_arguments_outside_their_bounds() -> None:
    with pytest.raises(UsageError, match="hidden_size must be at least 1"):
        MinGRU(3, 0)
    with pytest.raises(UsageError, match="no gate 'reset'"):
        MinGRU(3, 4, gate_bias=GateBiases({"reset": 1.0}))


def test_min_gru_keeps_its_state_in_mixed_precision() -> None:
    core = MinGRU(3, 4, gate_bias=GateBiases({"update": 8.0, "new": 0.0}))
    torch.nn.init.zeros_(core.linear.weight)
    with torch.autocast("cpu", torch.bfloat16):
        _, state = core(torch.zeros(2, 1_000, 3), torch.ones(2, 4))
    kept = (1 + np.exp(-8)) ** -1_000
    torch.testing.assert_close(state, torch.full((2, 4), kept, dtype=torch.float32), rtol=1e-3, atol=0)


def test_min_gru_writes_where_its_gate_rounds_to_1() -> None:
    core = MinGRU(3, 4, gate_bias=GateBiases({"update": 20.0, "new": 1.0}))
    torch.nn.init.zeros_(core.linear.weight)
    outputs, _ = core(torch.zeros(1, 1, 3))
    torch.testing.assert_close(outputs, torch.full((1, 1, 4), np.exp(-20)).float(), rtol=1e-5, atol=0)
