import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import GRU, LSTM, Chrono, GateBiases, Normal, ResetOnlyGRU, ScratchGRU, ScratchLSTM, UpdateOnlyGRU
from rnn_tasks.cores.stacked import Stacked
from rnn_tasks.errors import UsageError

LSTM_GATES = ("input", "forget", "cell", "output")
GRU_GATES = ("reset", "update", "new")


def total_bias(core: Stacked) -> Tensor:
    return core.get_parameter("bias_ih_l0") + core.get_parameter("bias_hh_l0")


def kept_share(core: Stacked, new_values: str) -> Tensor:
    """Return the fraction of the state that each unit keeps per step when all weights are zero.

    ``new_values`` names the gate that computes the new values; its biases are set to zero.
    """
    start = core.gates.index(new_values) * core.hidden_size
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            if name.startswith("weight"):
                parameter.zero_()
            else:
                parameter[start : start + core.hidden_size] = 0
        ones = torch.ones(1, 1, core.hidden_size)
        _, state = core(torch.zeros(1, 1, 1), (0 * ones, ones) if isinstance(core, LSTM) else ones)
    after: Tensor = state[1] if isinstance(core, LSTM) else state
    return after.flatten()


def test_gate_biases_gives_all_units_of_a_gate_one_bias() -> None:
    values = GateBiases({"update": -3, "reset": 0.5}).values(GRU_GATES, 3)
    assert {gate: bias.tolist() for gate, bias in values.items()} == {"update": [-3.0] * 3, "reset": [0.5] * 3}


def test_gate_biases_lists_the_gates_when_one_is_unknown() -> None:
    with pytest.raises(UsageError, match="no gate 'forget'; its gates are reset, update, new"):
        GateBiases({"forget": 1.0}).values(GRU_GATES, 3)


def test_chrono_draws_time_constants_uniformly() -> None:
    values = Chrono(max_delay=100).values(LSTM_GATES, 4000)
    assert set(values) == {"forget", "input"}
    torch.testing.assert_close(values["input"], -values["forget"], atol=0, rtol=0)
    steps = values["forget"].exp()
    assert steps.min() >= 1 - 1e-5
    assert steps.max() <= 99 + 1e-3
    quarters = torch.histc(steps, bins=4, min=1, max=99) / 4000
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.03, rtol=0)


@pytest.mark.parametrize("max_delay", [2.5, 50.0])
def test_chrono_gru_has_time_constants_up_to_max_delay(max_delay: float) -> None:
    kept = kept_share(GRU(1, 300, gate_bias=Chrono(max_delay)), "new")
    time_constants = 1 / (1 - kept)  # of kept ** t
    assert time_constants.min() >= 2 - 1e-3
    assert time_constants.max() <= max_delay + 1e-3
    assert time_constants.max() > 2 + 0.9 * (max_delay - 2)


@pytest.mark.parametrize("max_delay", [2.5, 50.0])
def test_chrono_lstm_has_time_constants_up_to_max_delay(max_delay: float) -> None:
    core = LSTM(1, 300, gate_bias=Chrono(max_delay))
    kept = kept_share(core, "cell")
    time_constants = 1 / (1 - kept)
    assert time_constants.min() >= 2 - 1e-3
    assert time_constants.max() <= max_delay + 1e-3
    torch.testing.assert_close(torch.sigmoid(total_bias(core)[:300]), 1 - kept)


@pytest.mark.parametrize(
    ("layer", "changed"),
    [
        (GRU, {"update"}),
        (ScratchGRU, {"update"}),
        (UpdateOnlyGRU, {"update"}),
        (LSTM, {"forget", "input"}),
        (ScratchLSTM, {"forget", "input"}),
    ],
)
def test_chrono_changes_only_the_gates_it_names(layer: Callable[..., Stacked], changed: set[str]) -> None:
    torch.manual_seed(1)
    plain = layer(1, 5)
    torch.manual_seed(1)
    chrono = layer(1, 5, gate_bias=Chrono(10))
    before, after = (total_bias(core).chunk(len(core.gates)) for core in (plain, chrono))
    pairs = zip(plain.gates, before, after, strict=True)
    assert {gate for gate, old, new in pairs if not torch.equal(old, new)} == changed
    for name in ("weight_ih_l0", "weight_hh_l0"):
        torch.testing.assert_close(chrono.get_parameter(name), plain.get_parameter(name), atol=0, rtol=0)


def test_chrono_draws_the_same_biases_for_the_same_seed() -> None:
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(Chrono(10).values(GRU_GATES, 8)["update"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_chrono_needs_a_gate_that_keeps() -> None:
    with pytest.raises(UsageError, match="a forget or an update gate; this layer's gates are reset, new"):
        ResetOnlyGRU(1, 3, gate_bias=Chrono(10))


def test_biases_must_be_finite() -> None:
    with pytest.raises(UsageError, match="the bias of update must be a finite number, got nan"):
        GateBiases({"update": math.nan}).values(GRU_GATES, 3)
    with pytest.raises(UsageError, match="max_delay must be a finite number, got inf"):
        Chrono(math.inf).values(GRU_GATES, 3)


def test_chrono_rejects_a_max_delay_of_2() -> None:
    with pytest.raises(UsageError, match="max_delay must be above 2, got 2"):
        LSTM(1, 3, recurrent_init=Normal(), gate_bias=Chrono(2))


def test_gru_keeps_three_quarters_when_update_gate_is_0_75() -> None:
    core = GRU(1, 4, gate_bias=GateBiases({"update": math.log(3)}))
    torch.testing.assert_close(kept_share(core, "new"), torch.full((4,), 0.75))
