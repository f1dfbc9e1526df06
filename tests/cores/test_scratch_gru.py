import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import Chrono, GateBiases, ResetOnlyGRU, ScratchGRU, Unrolled, UpdateOnlyGRU
from rnn_tasks.cores.scratch_gru import Reset
from rnn_tasks.errors import UsageError

RESETS: tuple[Reset, ...] = ("after", "before")


def gru_by_unit(core: Unrolled, inputs: Tensor, reset: Reset, gates: Callable[[str, float], float]) -> Tensor:
    """Compute the published equations one sequence, one step and one unit at a time.

    ``gates`` maps the name and the value of a gate to the value that is used.
    """
    size, weights = core.hidden_size, core.state_dict()
    start = {gate: size * index for index, gate in enumerate(core.gates)}

    def at(name: str, gate: str, unit: int) -> list[float]:
        row = weights[name][start[gate] + unit] if name in weights else torch.zeros(size)
        values: list[float] = row.reshape(-1).tolist()
        return values

    def dot(row: list[float], values: list[float]) -> float:
        return sum(a * b for a, b in zip(row, values, strict=True))

    def gate_of(gate: str, unit: int, x: list[float], old: list[float]) -> float:
        if gate not in start:
            return gates(gate, 0.0)
        read = dot(at("weight_ih_l0", gate, unit), x) + at("bias_ih_l0", gate, unit)[0]
        kept = dot(at("weight_hh_l0", gate, unit), old) + at("bias_hh_l0", gate, unit)[0]
        return gates(gate, 1 / (1 + math.exp(-(read + kept))))

    sequences = []
    for sequence in inputs.tolist():
        old, outputs = [0.0] * size, []
        for x in sequence:
            r = [gate_of("reset", unit, x, old) for unit in range(size)]
            z = [gate_of("update", unit, x, old) for unit in range(size)]
            new = []
            for unit in range(size):
                read = dot(at("weight_ih_l0", "new", unit), x) + at("bias_ih_l0", "new", unit)[0]
                row, c = at("weight_hh_l0", "new", unit), at("bias_hh_l0", "new", unit)[0]
                if reset == "after":
                    total = read + r[unit] * (dot(row, old) + c)
                else:
                    total = read + dot(row, [a * b for a, b in zip(r, old, strict=True)]) + c
                new.append(math.tanh(total))
            old = [(1 - z[unit]) * new[unit] + z[unit] * old[unit] for unit in range(size)]
            outputs.append(old)
        sequences.append(outputs)
    return torch.tensor(sequences, dtype=torch.double)


def unchanged(gate: str, value: float) -> float:
    return value


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("single_bias", [False, True])
def test_scratch_gru_follows_its_equations(reset: Reset, single_bias: bool) -> None:
    core = ScratchGRU(3, 4, reset=reset, single_bias=single_bias).double()
    inputs = 3 * torch.randn(2, 6, 3).double()
    expected = gru_by_unit(core, inputs, reset, unchanged)
    torch.testing.assert_close(core(inputs)[0], expected, atol=1e-10, rtol=1e-10)


def test_scratch_gru_reset_before_and_after_differ() -> None:
    after, before = ScratchGRU(3, 4), ScratchGRU(3, 4, reset="before")
    before.load_state_dict(after.state_dict())
    inputs = 3 * torch.randn(2, 6, 3)
    first, second = after(inputs)[0], before(inputs)[0]
    assert not torch.allclose(first[:, 0], second[:, 0])  # only "after" multiplies the recurrent bias by the gate
    with torch.no_grad():
        for core in (after, before):
            core.bias_hh_l0[8:] = 0
    first, second = after(inputs)[0], before(inputs)[0]
    torch.testing.assert_close(first[:, 0], second[:, 0])  # the initial state is zero, so the gate has no effect
    assert not torch.allclose(first[:, 1], second[:, 1])


@pytest.mark.parametrize("reset", RESETS)
def test_reset_only_gru_equals_gru_when_update_gate_is_0(reset: Reset) -> None:
    full, reset_only = ScratchGRU(3, 4, reset=reset).double(), ResetOnlyGRU(3, 4, reset=reset).double()
    rows = torch.tensor([*range(4), *range(8, 12)])
    reset_only.load_state_dict({name: value[rows] for name, value in full.state_dict().items()})
    with torch.no_grad():
        full.bias_ih_l0[4:8] = -1e4
    inputs = torch.randn(2, 9, 3).double()
    torch.testing.assert_close(reset_only(inputs), full(inputs), atol=1e-12, rtol=1e-12)
    expected = gru_by_unit(reset_only, inputs[:1], reset, lambda gate, value: 0.0 if gate == "update" else value)
    torch.testing.assert_close(reset_only(inputs[:1])[0], expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("reset", RESETS)
def test_update_only_gru_equals_gru_when_reset_gate_is_1(reset: Reset) -> None:
    full, update_only = ScratchGRU(3, 4, reset=reset).double(), UpdateOnlyGRU(3, 4).double()
    update_only.load_state_dict({name: value[4:] for name, value in full.state_dict().items()})
    with torch.no_grad():
        full.bias_ih_l0[:4] = 1e4
    inputs = torch.randn(2, 9, 3).double()
    torch.testing.assert_close(update_only(inputs), full(inputs), atol=1e-12, rtol=1e-12)
    expected = gru_by_unit(update_only, inputs[:1], reset, lambda gate, value: 1.0 if gate == "reset" else value)
    torch.testing.assert_close(update_only(inputs[:1])[0], expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("make", [ScratchGRU, UpdateOnlyGRU])
def test_gru_keeps_its_state_when_update_gate_is_1(make: Callable[..., Unrolled]) -> None:
    core, state = make(3, 4, gate_bias=GateBiases({"update": 1e4})), torch.randn(1, 2, 4)
    outputs, end = core(torch.randn(2, 9, 3), state)
    torch.testing.assert_close(outputs, state[0][:, None].expand_as(outputs), atol=0, rtol=0)
    torch.testing.assert_close(end, state, atol=0, rtol=0)


@pytest.mark.parametrize("reset", RESETS)
def test_reset_only_gru_has_no_memory_when_its_gate_is_0(reset: Reset) -> None:
    core, inputs = ResetOnlyGRU(3, 4, reset=reset, gate_bias=GateBiases({"reset": -1e4})), torch.randn(2, 9, 3)
    torch.testing.assert_close(core(inputs)[0][:, 8:], core(inputs[:, 8:])[0])


def test_chrono_sets_the_bias_of_the_update_gate() -> None:
    for core in (ScratchGRU(3, 50, gate_bias=Chrono(20)), UpdateOnlyGRU(3, 50, gate_bias=Chrono(20))):
        start = 50 * core.gates.index("update")
        drawn = (core.bias_ih_l0 + core.bias_hh_l0)[start : start + 50].exp()
        assert 1 <= drawn.min() < 5
        assert 14 < drawn.max() <= 19 + 1e-4
    with pytest.raises(UsageError, match="a forget or an update gate"):
        ResetOnlyGRU(3, 50, gate_bias=Chrono(20))


@pytest.mark.parametrize("make", [ScratchGRU, ResetOnlyGRU])
def test_gru_rejects_an_unknown_value_of_reset(make: Any) -> None:
    with pytest.raises(UsageError, match="reset must be 'after' or 'before', got 'beside'"):
        make(3, 4, reset="beside")
