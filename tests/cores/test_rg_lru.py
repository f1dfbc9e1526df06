import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import RGLRU
from rnn_tasks.errors import UsageError
from tests.helpers.step_loops import assert_equals_loop


def rg_lru_by_step(weights: dict[str, Tensor], inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the equations step by step, with dense block-diagonal matrices."""
    gates = weights["gate_weight"].chunk(2, -1)
    recurrence_weight, admit_weight = (torch.block_diag(*part) for part in gates)  # type: ignore[no-untyped-call]
    recurrence_bias, admit_bias = (part.flatten() for part in weights["gate_bias"].chunk(2, -1))
    softplus = torch.log(1 + torch.exp(weights["decay"]))
    outputs = []
    for x in inputs.unbind(1):
        values = x @ weights["linear.weight"].T + weights["linear.bias"]
        recurrence = torch.sigmoid(values @ recurrence_weight + recurrence_bias)
        admit = torch.sigmoid(values @ admit_weight + admit_bias)
        factors = torch.exp(-8 * recurrence * softplus)
        state = factors * state + torch.sqrt(1 - factors**2) * admit * values
        outputs.append(state)
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("heads", [1, 3])
def test_rg_lru_equals_its_equations_and_their_gradients(heads: int) -> None:
    core = RGLRU(4, 6, heads=heads)
    torch.nn.init.normal_(core.gate_bias)
    assert_equals_loop(core, rg_lru_by_step)


def test_rg_lru_equals_its_equations_in_numpy() -> None:
    core = RGLRU(3, 4, heads=2).double()
    torch.nn.init.normal_(core.gate_bias)
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    sequence, hidden = np.random.default_rng(0).normal(size=(80, 3)), np.zeros(4)
    inputs = torch.from_numpy(sequence)[None]
    steps = zip(sequence, core(inputs)[0][0], core.eigenvalues(inputs)["diagonal"][0], strict=True)
    for x, output, eigenvalues in steps:
        values = weights["linear.weight"] @ x + weights["linear.bias"]
        factors = np.zeros(4)
        for unit in range(4):
            head, column = divmod(unit, 2)
            block, bias = weights["gate_weight"][head], weights["gate_bias"][head, 0]
            terms = values[2 * head : 2 * head + 2] @ block + bias
            recurrence, admit = 1 / (1 + np.exp(-terms[column])), 1 / (1 + np.exp(-terms[2 + column]))
            factors[unit] = (1 + np.exp(weights["decay"][unit])) ** (-8 * recurrence)
            hidden[unit] = factors[unit] * hidden[unit] + np.sqrt(1 - factors[unit] ** 2) * admit * values[unit]
        np.testing.assert_allclose(output.detach(), hidden, atol=1e-10)
        np.testing.assert_allclose(eigenvalues, factors, atol=1e-10)


def test_rg_lru_decays_start_uniformly_in_a_ring() -> None:
    core = RGLRU(1, 20_000, heads=20_000, r_min=0.6, r_max=0.9)
    squares = torch.exp(-torch.nn.functional.softplus(core.decay.detach())).square()
    assert squares.min() >= 0.36 - 1e-6
    assert squares.max() <= 0.81 + 1e-6
    quantiles = torch.quantile(squares, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([0.4725, 0.585, 0.6975]), rtol=0, atol=0.01)


def test_rg_lru_has_finite_gradients_when_it_forgets_nothing() -> None:
    core = RGLRU(3, 4, heads=2)
    torch.nn.init.constant_(core.gate_bias, -1e3)
    outputs, state = core(torch.randn(2, 9, 3), torch.ones(2, 4))
    outputs.sum().backward()
    torch.testing.assert_close(state, torch.ones(2, 4))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in core.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"heads": 3}, r"hidden_size must be a multiple of heads \(3\), got 8"),
        ({"heads": 0}, "heads must be at least 1"),
        ({"r_min": 0.9, "r_max": 0.8}, "0 < r_min < r_max < 1"),
        ({"r_max": 1.0}, "0 < r_min < r_max < 1"),
    ],
)
def test_rg_lru_rejects_arguments_outside_their_bounds(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RGLRU(3, **{"hidden_size": 8, **options})  # type: ignore[arg-type]
