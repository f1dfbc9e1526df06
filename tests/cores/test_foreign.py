from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import Foreign
from rnn_tasks.errors import UsageError


class Leaky(nn.Module):
    """A layer of another package: torch.nn.RNN's contract, other names."""

    def __init__(self, input_size: int, hidden_size: int, leak: float = 0.5) -> None:
        super().__init__()
        self.leak = leak
        self.cell = nn.ParameterDict(
            {
                "read_u": nn.Parameter(torch.randn(hidden_size, input_size)),
                "keep_w": nn.Parameter(torch.randn(hidden_size, hidden_size)),
                "offset": nn.Parameter(torch.randn(hidden_size)),
            }
        )

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        hidden = inputs.new_zeros(len(inputs), len(self.cell["offset"])) if state is None else state
        outputs = []
        for step in inputs.unbind(1):
            new = torch.tanh(step @ self.cell["read_u"].T + hidden @ self.cell["keep_w"].T + self.cell["offset"])
            hidden = self.leak * hidden + (1 - self.leak) * new
            outputs.append(hidden)
        return torch.stack(outputs, 1), hidden


class TimeFirst(Leaky):
    """The same, but ``(time, batch, features)``."""

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, state = super().forward(inputs.transpose(0, 1), state)
        return outputs.transpose(0, 1), state


class Noisy(Leaky):
    """Draws random numbers in every call, and is told apart from evaluation."""

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(inputs + torch.rand_like(inputs), state)


class NoState(Leaky):
    def forward(self, inputs: Tensor, state: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return super().forward(inputs, state)[0]


class LastStepOnly(Leaky):
    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, state = super().forward(inputs, state)
        return outputs[:, -1], state


class NoStateArgument(Leaky):
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(inputs)


class NotATensor(Leaky):
    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Any, Any]:
        return "outputs", None


class Picky(Leaky):
    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert inputs.shape[1] > 2, "too short a sequence"
        return super().forward(inputs, state)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "num_layers": 2}])
def test_torchs_layers_act_as_they_do_themselves(layer: type[nn.Module], options: dict[str, Any]) -> None:
    foreign = Foreign(3, 5, layer, options)
    itself = layer(3, 5, **{**options, "batch_first": True})
    itself.load_state_dict(foreign.layer.state_dict())
    inputs = torch.randn(4, 6, 3)
    outputs, state = foreign(inputs)
    torch.testing.assert_close((outputs, state), itself(inputs))
    torch.testing.assert_close(foreign(inputs, state), itself(inputs, state))


@pytest.mark.parametrize(("layer", "batch_first"), [(Leaky, True), (TimeFirst, False)])
def test_a_layer_of_another_package_acts_as_itself(layer: type[nn.Module], batch_first: bool) -> None:
    foreign = Foreign(3, 5, layer, {"leak": 0.25}, batch_first=batch_first)
    assert isinstance(foreign.layer, Leaky)
    inputs = torch.randn(4, 6, 3)
    outputs, state = foreign(inputs)
    expected = Leaky.forward(foreign.layer, inputs)
    torch.testing.assert_close((outputs, state), expected)
    torch.testing.assert_close(foreign(inputs, state), Leaky.forward(foreign.layer, inputs, expected[1]))


def test_weights_are_found_by_the_beginnings_of_their_names() -> None:
    foreign = Foreign(3, 5, Leaky, recurrent="keep", input="read")
    cell = dict(foreign.layer.named_parameters())
    assert list(foreign.recurrent_weights()) == ["cell.keep_w"]
    assert foreign.recurrent_weights()["cell.keep_w"] is cell["cell.keep_w"]
    assert len(foreign.input_weights()) == 1
    assert foreign.input_weights()[0] is cell["cell.read_u"]
    roles = {name: foreign.parameter_role(name) for name, _ in foreign.named_parameters()}
    assert roles == {
        "layer.cell.keep_w": "recurrent",
        "layer.cell.read_u": "input",
        "layer.cell.offset": "rest",
    }


def test_the_stacked_gates_of_torch_are_found_as_square_views() -> None:
    foreign = Foreign(3, 5, nn.LSTM, {"num_layers": 2})
    blocks = foreign.recurrent_weights()
    assert list(blocks) == [f"weight_hh_l{layer}/{gate}" for layer in (0, 1) for gate in range(4)]
    with torch.no_grad():
        blocks["weight_hh_l1/2"].fill_(7)
    stacked = foreign.layer.get_parameter("weight_hh_l1")
    assert ((stacked == 7).all(1).nonzero().flatten() == torch.arange(10, 15)).all()


def test_a_layer_with_other_names_has_no_recurrent_weights() -> None:
    assert Foreign(3, 5, Leaky).recurrent_weights() == {}
    assert Foreign(3, 5, Leaky).input_weights() == []


def test_only_square_blocks_are_recurrent_weights() -> None:
    """The inputs of a layer with as many inputs as units are square too, but named otherwise; a bias is no block."""
    foreign = Foreign(3, 5, Leaky, recurrent="read")
    assert foreign.recurrent_weights() == {}
    assert Foreign(3, 5, Leaky, recurrent="offset").recurrent_weights() == {}


def test_trial_run_keeps_random_state_and_training_mode() -> None:
    torch.manual_seed(1)
    Noisy(3, 5)
    after_building = torch.get_rng_state()
    torch.manual_seed(1)
    foreign = Foreign(3, 5, Noisy)
    assert torch.equal(torch.get_rng_state(), after_building)
    assert foreign.training
    assert foreign.layer.training


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (NoState, "NoState is not called as torch.nn.RNN is"),
        (NoStateArgument, "NoStateArgument is not called as torch.nn.RNN is"),
        (NotATensor, "NotATensor is not called as torch.nn.RNN is"),
        (Picky, "Picky is not called as torch.nn.RNN is: too short a sequence"),
        (nn.Linear, r"torch\.nn\.modules\.linear\.Linear is not called as torch\.nn\.RNN is"),
        (nn.GRUCell, "GRUCell is not called as torch.nn.RNN is"),
        (LastStepOnly, r"must return outputs of shape \(batch, time, 5\), got \(3, 5\)"),
    ],
)
def test_layer_with_another_contract_is_refused_before_training(layer: type[nn.Module], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Foreign(3, 5, layer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": True}, r"must return outputs of shape \(batch, time, 5\), got \(3, 2, 10\)"),
        ({"depth": 3}, r"torch\.nn\.modules\.rnn\.GRU cannot be built: .*depth"),
        ({"num_layers": 0}, "cannot be built: .*num_layers"),
        ({"num_layers": "two"}, "cannot be built"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Foreign(3, 5, nn.GRU, options)


def test_a_hidden_size_below_1_is_refused() -> None:
    with pytest.raises(UsageError, match="hidden_size must be at least 1, got 0"):
        Foreign(3, 0, nn.GRU)
