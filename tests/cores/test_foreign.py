from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import Foreign
from rnn_tasks.errors import UsageError


class Leaky(nn.Module):
    """A layer of another package: called like torch.nn.RNN, with other parameter names."""

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
    """The same layer for inputs ``(time, batch, features)``."""

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, state = super().forward(inputs.transpose(0, 1), state)
        return outputs.transpose(0, 1), state


class Noisy(Leaky):
    """A layer that adds random numbers to its inputs in every call."""

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


class NoShortSequences(Leaky):
    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert inputs.shape[1] > 2, "too short a sequence"
        return super().forward(inputs, state)


class LooksAhead(Leaky):
    """A layer that reads its inputs from the last to the first."""

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, state = super().forward(inputs.flip(1), state)
        return outputs.flip(1), state


class ForgetsState(Leaky):
    """A layer that starts from zeros in every call."""

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(inputs)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "num_layers": 2}])
def test_foreign_equals_the_torch_layer_that_it_wraps(layer: type[nn.Module], options: dict[str, Any]) -> None:
    foreign = Foreign(3, 5, layer, options)
    wrapped = layer(3, 5, **{**options, "batch_first": True})
    wrapped.load_state_dict(foreign.layer.state_dict())
    inputs = torch.randn(4, 6, 3)
    outputs, state = foreign(inputs)
    torch.testing.assert_close((outputs, state), wrapped(inputs))
    torch.testing.assert_close(foreign(inputs, state), wrapped(inputs, state))


@pytest.mark.parametrize(("layer", "batch_first"), [(Leaky, True), (TimeFirst, False)])
def test_foreign_equals_the_custom_layer_that_it_wraps(layer: type[nn.Module], batch_first: bool) -> None:
    foreign = Foreign(3, 5, layer, {"leak": 0.25}, batch_first=batch_first)
    assert isinstance(foreign.layer, Leaky)
    inputs = torch.randn(4, 6, 3)
    outputs, state = foreign(inputs)
    expected = Leaky.forward(foreign.layer, inputs)
    torch.testing.assert_close((outputs, state), expected)
    torch.testing.assert_close(foreign(inputs, state), Leaky.forward(foreign.layer, inputs, expected[1]))


def test_foreign_finds_weights_by_their_prefixes() -> None:
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


def test_foreign_splits_stacked_gates_into_square_views() -> None:
    foreign = Foreign(3, 5, nn.LSTM, {"num_layers": 2})
    blocks = foreign.recurrent_weights()
    assert list(blocks) == [f"weight_hh_l{layer}/{gate}" for layer in (0, 1) for gate in range(4)]
    with torch.no_grad():
        blocks["weight_hh_l1/2"].fill_(7)
    stacked = foreign.layer.get_parameter("weight_hh_l1")
    assert ((stacked == 7).all(1).nonzero().flatten() == torch.arange(10, 15)).all()


def test_foreign_finds_no_weights_when_the_prefixes_differ() -> None:
    assert Foreign(3, 5, Leaky).recurrent_weights() == {}
    assert Foreign(3, 5, Leaky).input_weights() == []


def test_foreign_skips_recurrent_weights_that_are_not_square() -> None:
    assert Foreign(3, 5, Leaky, recurrent="read").recurrent_weights() == {}  # 5 x 3
    assert Foreign(3, 5, Leaky, recurrent="offset").recurrent_weights() == {}  # a bias


def test_foreign_trial_run_keeps_random_state_and_mode() -> None:
    torch.manual_seed(1)
    Noisy(3, 5)
    random_state = torch.get_rng_state()
    torch.manual_seed(1)
    foreign = Foreign(3, 5, Noisy)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert foreign.training
    assert foreign.layer.training


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (NoState, "NoState cannot be called like torch.nn.RNN"),
        (NoStateArgument, "NoStateArgument cannot be called like torch.nn.RNN"),
        (NotATensor, "NotATensor cannot be called like torch.nn.RNN"),
        (NoShortSequences, "NoShortSequences cannot be called like torch.nn.RNN: too short a sequence"),
        (nn.Linear, r"torch\.nn\.modules\.linear\.Linear cannot be called like torch\.nn\.RNN"),
        (nn.GRUCell, "GRUCell cannot be called like torch.nn.RNN"),
        (LastStepOnly, r"must return outputs of shape \(batch, time, 5\), got \(3, 5\)"),
        (
            LooksAhead,
            "LooksAhead looks ahead: its output at step [123] changes by .* if only the inputs from step 4 on",
        ),
        (ForgetsState, "ForgetsState does not continue from its state"),
    ],
)
def test_foreign_rejects_a_layer_unlike_torch_rnn(layer: type[nn.Module], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Foreign(3, 5, layer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": True}, r"must return outputs of shape \(batch, time, 5\), got \(3, 5, 10\)"),
        ({"depth": 3}, r"torch\.nn\.modules\.rnn\.GRU cannot be built: .*depth"),
        ({"num_layers": 0}, "cannot be built: .*num_layers"),
        ({"num_layers": "two"}, "cannot be built"),
    ],
)
def test_foreign_rejects_options_that_the_layer_rejects(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Foreign(3, 5, nn.GRU, options)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_foreign_rejects_a_bidirectional_lstm_with_a_projection() -> None:
    """Its outputs have the expected shape, (batch, time, 4)."""
    with pytest.raises(UsageError, match="LSTM looks ahead"):
        Foreign(3, 4, nn.LSTM, {"bidirectional": True, "proj_size": 2})


def test_foreign_accepts_a_layer_with_random_outputs() -> None:
    assert Foreign(3, 5, Noisy)(torch.zeros(2, 4, 3))[0].shape == (2, 4, 5)


def test_foreign_rejects_a_hidden_size_below_1() -> None:
    with pytest.raises(UsageError, match="hidden_size must be at least 1, got 0"):
        Foreign(3, 0, nn.GRU)


@pytest.mark.parametrize("option", ["recurrent", "input"])
def test_foreign_rejects_a_prefix_that_no_parameter_has(option: str) -> None:
    message = rf"Leaky has no parameter whose name begins with 'kep' \(option {option}\); it has .*cell\.keep_w"
    with pytest.raises(UsageError, match=message):
        Foreign(3, 5, Leaky, **{option: "kep"})  # type: ignore[arg-type]
