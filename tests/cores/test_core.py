"""Tests that every recurrent layer must pass, and tests of the helpers of layers."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from rnn_tasks.cores import (
    GRU,
    LSTM,
    RNN,
    Core,
    Elman,
    Foreign,
    ResetOnlyGRU,
    ScratchGRU,
    ScratchLSTM,
    UpdateOnlyGRU,
)
from rnn_tasks.cores.core import square_blocks

UNCONSTRAINED: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=5),
    "RNN": partial(RNN, hidden_size=5),
    "GRU": partial(GRU, hidden_size=5),
    "LSTM": partial(LSTM, hidden_size=5),
    "GRU, 2 layers": partial(GRU, hidden_size=5, num_layers=2),
    "Elman, 2 layers": partial(Elman, hidden_size=5, num_layers=2),
    "ScratchGRU": partial(ScratchGRU, hidden_size=5, num_layers=2),
    "ScratchGRU, reset before": partial(ScratchGRU, hidden_size=5, reset="before"),
    "ResetOnlyGRU": partial(ResetOnlyGRU, hidden_size=5),
    "UpdateOnlyGRU": partial(UpdateOnlyGRU, hidden_size=5),
    "ScratchLSTM": partial(ScratchLSTM, hidden_size=5, num_layers=2),
    "Foreign LSTM": partial(Foreign, hidden_size=5, layer=nn.LSTM, options={"num_layers": 2}),
}
ORTHOGONAL: dict[str, Callable[[int], Core]] = {
    name: partial(Elman, hidden_size=5, orthogonal_map=name) for name in ("matrix_exp", "cayley", "householder")
}


@pytest.fixture(params=[*UNCONSTRAINED, *ORTHOGONAL])
def core(request: pytest.FixtureRequest) -> Core:
    return (UNCONSTRAINED | ORTHOGONAL)[request.param](3)


@pytest.fixture(params=UNCONSTRAINED)
def unconstrained_core(request: pytest.FixtureRequest) -> Core:
    return UNCONSTRAINED[request.param](3)


def test_core_continues_from_the_state_at_a_cut(core: Core) -> None:
    inputs = torch.randn(4, 9, 3)
    whole, _ = core(inputs)
    first, state = core(inputs[:, :5])
    second, _ = core(inputs[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    assert not torch.allclose(core(inputs[:, 5:])[0], second)


def test_outputs_ignore_other_sequences_and_later_steps(core: Core) -> None:
    inputs = torch.randn(4, 9, 3)
    changed_inputs = inputs.clone()
    changed_inputs[1, 6:] += 1
    before, after = core(inputs)[0], core(changed_inputs)[0]
    unaffected = torch.ones(4, 9, dtype=torch.bool)
    unaffected[1, 6:] = False
    torch.testing.assert_close(after[unaffected], before[unaffected])
    assert ((after - before)[~unaffected].abs().amax(1) > 1e-4).all()


def test_recurrent_weights_are_square_and_complete(core: Core) -> None:
    blocks = core.recurrent_weights().values()
    assert {block.shape for block in blocks} == {(5, 5)}
    recurrent = [p for name, p in core.named_parameters() if core.parameter_role(name) == "recurrent"]
    assert sum(block.numel() for block in blocks) == sum(parameter.numel() for parameter in recurrent)


def test_recurrent_weights_are_views_of_the_parameters(unconstrained_core: Core) -> None:
    inputs = torch.randn(2, 6, 3)
    for weight in unconstrained_core.recurrent_weights().values():
        before = unconstrained_core(inputs)[0]
        with torch.no_grad():
            weight.mul_(1.5)
        assert not torch.allclose(unconstrained_core(inputs)[0], before)


def test_elman_has_no_memory_when_recurrent_weights_are_zero() -> None:
    for core in (UNCONSTRAINED["Elman"](3), UNCONSTRAINED["RNN"](3)):
        with torch.no_grad():
            core.recurrent_weights()["weight_hh_l0"].zero_()
        inputs = torch.randn(2, 6, 3)
        torch.testing.assert_close(core(inputs)[0][:, 5:], core(inputs[:, 5:])[0])


def test_outputs_ignore_inputs_when_input_weights_are_zero(core: Core) -> None:
    assert {weight.shape[-1] for weight in core.input_weights()} == {3}
    with torch.no_grad():
        for weight in core.input_weights():
            weight.zero_()
    torch.testing.assert_close(core(torch.randn(2, 6, 3))[0], core(torch.zeros(2, 6, 3))[0])


def test_input_column_changes_outputs_from_its_symbol_on(core: Core) -> None:
    inputs = torch.eye(3)[None]
    before = core(inputs)[0]
    with torch.no_grad():
        for weight in core.input_weights():
            weight[..., 1] += 1
    after = core(inputs)[0]
    torch.testing.assert_close(after[:, 0], before[:, 0])
    assert not torch.allclose(after[:, 1], before[:, 1])


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("weight_hh_l0", "recurrent"),
        ("weight_hh_l1", "recurrent"),
        ("parametrizations.weight_hh_l0.original", "recurrent"),
        ("weight_ih_l0", "input"),
        ("bias_ih_l0", "input"),
        ("bias_hh_l0", "input"),
        ("weight_ih_l1", "rest"),
        ("bias_ih_l1", "rest"),
        ("weight_ih_l10", "rest"),
    ],
)
def test_parameter_role_depends_on_the_name(name: str, role: str) -> None:
    assert UNCONSTRAINED["Elman"](3).parameter_role(name) == role


def test_square_blocks_returns_views_from_top_to_bottom() -> None:
    weight = torch.arange(8.0).reshape(4, 2)
    blocks = square_blocks("w", weight, ("first", "second"))
    assert {name: block.tolist() for name, block in blocks.items()} == {
        "w/first": [[0, 1], [2, 3]],
        "w/second": [[4, 5], [6, 7]],
    }
    blocks["w/second"].zero_()
    assert weight.tolist() == [[0, 1], [2, 3], [0, 0], [0, 0]]


def test_square_blocks_keeps_the_name_of_a_single_block() -> None:
    weight = torch.eye(2)
    assert square_blocks("w", weight, ("hidden",))["w"] is weight
