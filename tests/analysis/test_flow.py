import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks import manual_bptt
from rnn_tasks.analysis.flow import (
    affordable,
    encoded,
    flat_size,
    flatten_state,
    gradient_by_lag,
    gradient_by_time_step,
    hidden_states,
    output_is_state,
    scored_step,
    state_trajectory,
    unflatten_state,
)
from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, Foreign, ScratchGRU, ScratchLSTM
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork, Network, TaggerNetwork
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from rnn_tasks.tasks import Copy, Echo, GeneratedTask, VariableDelayEcho
from tests.helpers.state_layers import STATE_LAYERS

CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=5),
    "orthogonal": partial(Elman, hidden_size=5, orthogonal_map="matrix_exp"),
    "RNN with two layers": partial(RNN, hidden_size=5, num_layers=2, dropout=0.5),
    "GRU": partial(GRU, hidden_size=5),
    "LSTM with two layers": partial(LSTM, hidden_size=5, num_layers=2),
    "ScratchGRU": partial(ScratchGRU, hidden_size=5, reset="before"),
    "ScratchLSTM": partial(ScratchLSTM, hidden_size=5),
    "frozen Elman": partial(Elman, hidden_size=5, freeze_recurrent=True),
    "Foreign": partial(Foreign, hidden_size=5, layer=nn.GRU, options={"num_layers": 2}),
}
TASKS: dict[str, GeneratedTask] = {
    "echo": Echo(delay=2, sequence_length=7, alphabet_size=4, batch_size=3),
    "variable_delay_echo": VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=3),
    "copy": Copy("recall", num_symbols=2, alphabet_size=4, delay=4, min_delay=2, batch_size=3),
}
BATCHES = {name: task.train_batch(0) for name, task in TASKS.items()}
BATCH = BATCHES["variable_delay_echo"]


def tagger(
    core: Callable[[int], Core] = CORES["Elman"], task: str = "variable_delay_echo", **options: Any
) -> TaggerNetwork:
    return TaggerNetwork(core, TASKS[task].spec, **options).double()


def language_network(core: Callable[[int], Core], **options: Any) -> LanguageNetwork:
    return LanguageNetwork(core, TaskSpec(4, 4), **options).double()


def text(rows: int = 3, time: int = 6) -> Batch:
    symbols = torch.randint(4, (rows, time + 1), generator=torch.Generator().manual_seed(1))
    return Batch(symbols[:, :-1], symbols[:, 1:])


def tensors(state: Any) -> list[Tensor]:
    """Return the tensors of a torch layer's state."""
    return [state] if isinstance(state, Tensor) else list(state)


def in_rows(state: Any) -> Tensor:
    """Return the state as ``(batch, state_size)``."""
    rows = [
        torch.cat([part[:, row].reshape(-1) for part in tensors(state)]) for row in range(tensors(state)[0].shape[1])
    ]
    return torch.stack(rows)


class Pair(NamedTuple):
    one: Tensor
    other: Any


class WrappedStateGRU(nn.Module):
    """A GRU whose state is wrapped by a function ``wrap``."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.layer = nn.GRU(input_size, hidden_size, batch_first=True)
        self.wrap: Callable[[Tensor], Any] = lambda state: state

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        outputs, after = self.layer(inputs, state)
        return outputs, self.wrap(after)


class DoubledOutput(nn.Module):
    """An Elman layer whose output is twice its state; the state is ``(batch, hidden)`` in a dictionary."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.RNNCell(input_size, hidden_size)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden = inputs.new_zeros(len(inputs), self.cell.hidden_size) if state is None else state["hidden"]
        outputs = []
        for step_inputs in inputs.unbind(1):
            hidden = self.cell(step_inputs, hidden)
            outputs.append(2 * hidden)
        return torch.stack(outputs, 1), {"hidden": hidden}


def remaining_loss(network: TaggerNetwork, batch: Batch, start: int, state: Any, last: list[int]) -> Tensor:
    """Return the sum over sequences of the loss at step ``last``, run from step ``start`` on with this state."""
    outputs, _ = network.core(encoded(network, batch)[:, start:], state)
    logits = network.readout(outputs)
    return sum(
        (
            functional.cross_entropy(logits[row, step - start], batch.targets[row, step])
            for row, step in enumerate(last)
            if step >= start
        ),
        start=torch.zeros((), dtype=torch.double),
    )


def last_scored(batch: Batch, step: int = -1) -> list[int]:
    return [[t for t, target in enumerate(row) if target != NOT_SCORED][step] for row in batch.targets.tolist()]


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", CORES)
def test_hidden_states_are_the_inputs_of_the_readout(core: str) -> None:
    network = tagger(CORES[core])
    hidden = hidden_states(network, BATCH)
    assert not hidden.requires_grad
    network.eval()
    torch.testing.assert_close(network.readout(hidden), network(BATCH.inputs, BATCH.condition)[0])


def test_hidden_states_of_a_language_network_equal_its_outputs() -> None:
    network, batch = language_network(CORES["RNN with two layers"], dropout=0.5, embedding_size=3), text()
    hidden = hidden_states(network, batch)
    network.eval()
    torch.testing.assert_close(network.readout(hidden), network(batch.inputs)[0])


@pytest.mark.parametrize("core", ["Elman", "LSTM with two layers"])
def test_hidden_states_continue_from_a_given_state(core: str) -> None:
    network, batch = language_network(CORES[core]), text()
    first, second = (Batch(batch.inputs[:, part], batch.targets[:, part]) for part in (slice(0, 4), slice(4, 6)))
    _, state = network.core(network.encode_inputs(first.inputs))
    for function in (hidden_states, state_trajectory):
        torch.testing.assert_close(function(network, second, state), function(network, batch)[:, 4:])


@pytest.mark.parametrize("core", CORES)
def test_state_trajectory_is_the_state_after_each_prefix(core: str) -> None:
    network = tagger(CORES[core])
    states = state_trajectory(network, BATCH)
    network.eval()
    inputs = network.encode(BATCH.inputs, BATCH.condition)
    for step in range(7):
        _, after = network.core(inputs[:, : step + 1])
        torch.testing.assert_close(states[:, step], in_rows(after))


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: torch.randn(2, rows, 3),
        lambda rows: torch.randn(rows, 3),
        lambda rows: (torch.randn(2, rows, 3), torch.randn(2, rows, 4)),
        lambda rows: [torch.randn(1, rows, 3), {"a": torch.randn(rows, 2), "b": (torch.randn(2, rows, 2),)}],
        lambda rows: Pair(torch.randn(rows, 3).double(), torch.randn(1, rows, 2)),
        lambda rows: (torch.randn(rows, 2, 3, 5), torch.randn(rows), torch.randn(rows, 2, 1, 3, 2)),
    ],
)
def test_unflatten_state_reverses_flatten_state(make: Callable[[int], Any]) -> None:
    state = make(4)
    flat = flatten_state(state, 4)
    back = unflatten_state(flat, like=make(7))  # another number of sequences

    def same(one: Any, other: Any) -> None:
        assert type(one) is type(other)
        if isinstance(one, Tensor):
            assert torch.equal(one, other)
            assert one.dtype == other.dtype
            assert one.is_contiguous()
        else:
            parts = (one.values(), other.values()) if isinstance(one, dict) else (one, other)
            for a, b in zip(*parts, strict=True):
                same(a, b)

    same(back, state)
    # Each row belongs to one sequence.
    assert torch.equal(flatten_state(unflatten_state(flat[2:3], like=state), 1), flat[2:3])


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 4, 5), (3, 4, 5, 5), (4, 4, 4, 4), (4, 6)])
def test_flatten_state_keeps_sequences_apart(shape: tuple[int, ...]) -> None:
    """Also if the number of sequences equals another dimension."""
    dimension = 1 if len(shape) == 3 else 0
    state = torch.arange(math.prod(shape), dtype=torch.double).view(shape)
    flat = flatten_state(state, shape[dimension])
    for row, numbers in enumerate(flat):
        assert torch.equal(numbers, state.select(dimension, row).flatten())
    torch.testing.assert_close(unflatten_state(flat, state), state, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrap", "description"),
    [
        (lambda state: None, "NoneType"),
        (lambda state: [], "list"),
        (lambda state: (state, 3), "int"),
        (lambda state: {state}, "set"),
        (lambda state: (state, torch.tensor(3)), r"torch.int64 \(\)"),
        (lambda state: state.long(), r"torch.int64 \(1, 3, 5\)"),
        (lambda state: state[None], r"torch.float64 \(1, 1, 3, 5\)"),
        (lambda state: state.transpose(0, 1), r"torch.float64 \(3, 1, 5\)"),
    ],
)
def test_flow_raises_for_a_state_that_cannot_be_flattened(wrap: Callable[[Tensor], Any], description: str) -> None:
    network = tagger(partial(Foreign, hidden_size=5, layer=WrappedStateGRU))
    network.core.layer.wrap = wrap  # type: ignore[union-attr]
    assert hidden_states(network, BATCH).shape == (3, 7, 5)  # does not need the state
    for function in (state_trajectory, gradient_by_lag, gradient_by_time_step):
        with pytest.raises(
            UsageError, match=f"this layer's state cannot be flattened: it contains {description}"
        ) as caught:
            function(network, BATCH)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layer", STATE_LAYERS)
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_state_trajectory_of_other_states_equals_prefixes(layer: str, rows: int) -> None:
    network, batch = language_network(STATE_LAYERS[layer]), text(rows)
    states, inputs = state_trajectory(network, batch), encoded(network, batch)
    for step in range(6):
        torch.testing.assert_close(states[:, step], network.core(inputs[:, : step + 1])[1].flatten(1))


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("core", CORES)
def test_gradient_by_lag_equals_autograd_of_the_loss(core: str, task: str) -> None:
    network, batch = tagger(CORES[core], task), BATCHES[task]
    last = last_scored(batch)
    result = gradient_by_lag(network, batch)
    assert len(result) == max(last) + 1
    network.eval()
    expected: list[list[float]] = [[] for _ in result]
    for step in range(max(last)):
        _, state = network.core(encoded(network, batch)[:, : step + 1])
        kept = [part.detach().requires_grad_() for part in tensors(state)]
        initial = kept[0] if isinstance(state, Tensor) else tuple(kept)
        gradients = torch.autograd.grad(remaining_loss(network, batch, step + 1, initial, last), kept)
        for row, end in enumerate(last):
            if end > step:
                expected[end - step].append(float(in_rows(gradients)[row].norm()))
    for row, end in enumerate(last):
        hidden = hidden_states(network, batch)[row, end].requires_grad_()
        loss = functional.cross_entropy(network.readout(hidden), batch.targets[row, end])
        expected[0].append(float(torch.autograd.grad(loss, hidden)[0].norm()))
    np.testing.assert_allclose(result.numpy(), [np.mean(norms) for norms in expected], rtol=1e-9)
    assert result.dtype == torch.double


@pytest.mark.parametrize("layer", STATE_LAYERS)
def test_gradient_by_lag_of_other_states_equals_autograd(layer: str) -> None:
    """The outputs of these layers are not a part of their states."""
    network, batch = language_network(STATE_LAYERS[layer]), text(rows=2)
    result, inputs = gradient_by_lag(network, batch), encoded(network, batch)
    for lag in range(1, 6):
        _, state = network.core(inputs[:, : 6 - lag])
        state = state.detach().requires_grad_()
        logits = network.readout(network.core(inputs[:, 6 - lag :], state)[0][:, -1])
        loss = functional.cross_entropy(logits, batch.targets[:, -1], reduction="sum")
        expected = torch.autograd.grad(loss, state)[0].flatten(1).norm(dim=1).mean()
        torch.testing.assert_close(result[lag], expected)


def test_affordable_limits_the_values_of_all_states() -> None:
    network, batch = language_network(STATE_LAYERS["matrix states"]), text(rows=3)
    assert flat_size(network, batch) == 8
    assert affordable(network, batch) is batch
    assert torch.equal(affordable(network, batch, 2 * 8 * 6).inputs, batch.inputs[:2])
    with pytest.raises(UsageError, match="the state has 8 numbers, too many for gradients over 6 steps"):
        affordable(network, batch, 8 * 6 - 1)


def test_output_is_state_when_the_state_contains_it() -> None:
    assert output_is_state(language_network(CORES["LSTM with two layers"]), text())
    assert output_is_state(language_network(STATE_LAYERS["diagonal that the input decides"]), text())
    assert not output_is_state(language_network(STATE_LAYERS["matrix states"]), text())


@pytest.mark.parametrize("step", [0, 1, -2])
def test_gradient_by_lag_counts_from_the_chosen_step(step: int) -> None:
    """The mean for each lag is over the sequences whose chosen step is late enough."""
    network = tagger()
    result = gradient_by_lag(network, BATCH, step)
    by_sequence = [gradient_by_lag(network, BATCH.rows(row, row + 1), step) for row in range(3)]
    times = last_scored(BATCH, step)
    assert [len(norms) - 1 for norms in by_sequence] == times
    for lag, value in enumerate(result):
        assert value == pytest.approx(np.mean([float(norms[lag]) for norms in by_sequence if lag < len(norms)]))
    assert scored_step(BATCH.scored, step).tolist() == times


def test_gradient_by_lag_of_an_lstm_equals_lstm_cell() -> None:
    """Hidden state and cell are separate variables: the gradient by a cell excludes its effect on the same step."""
    network, batch = tagger(partial(LSTM, hidden_size=5), "echo"), BATCHES["echo"].rows(0, 1)
    cell = nn.LSTMCell(5, 5).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in network.core.state_dict().items()})
    hiddens, cells = [], []
    hidden, cell_state = torch.zeros(2, 1, 5).double()
    for symbol in batch.inputs[0]:
        encoding = functional.one_hot(symbol, 5).double()[None]
        hidden, cell_state = (part.clone() for part in cell(encoding, (hidden, cell_state)))
        hiddens.append(hidden)
        cells.append(cell_state)
    loss = functional.cross_entropy(network.readout(hidden), batch.targets[:, -1])
    by_hidden = torch.cat(torch.autograd.grad(loss, hiddens[::-1], retain_graph=True))
    by_cell = torch.cat(torch.autograd.grad(loss, cells[::-1], materialize_grads=True))
    torch.testing.assert_close(gradient_by_lag(network, batch, part="hidden"), by_hidden.norm(dim=1))
    torch.testing.assert_close(gradient_by_lag(network, batch), torch.cat([by_hidden, by_cell], 1).norm(dim=1))


@pytest.mark.parametrize("scored", [1, 4, None])
def test_gradients_of_an_elman_network_equal_manual_bptt(scored: int | None) -> None:
    network, batch = language_network(partial(Elman, hidden_size=5)), text(rows=1, time=6)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    manual = manual_bptt.Network(
        weights["core.weight_ih_l0"],
        weights["core.weight_hh_l0"],
        weights["readout.weight"],
        weights["core.bias_ih_l0"] + weights["core.bias_hh_l0"],
        weights["readout.bias"],
    )
    symbols = np.append(batch.inputs[0].numpy(), batch.targets[0, -1])
    expected = manual_bptt.backward(manual, manual_bptt.forward(manual, symbols, scored=scored)).norm_by_time_step
    targets = batch.targets.clone()
    targets[:, : 6 - (scored or 6)] = NOT_SCORED
    batch = batch._replace(targets=targets)
    for part in ("state", "hidden"):
        np.testing.assert_allclose(gradient_by_time_step(network, batch, part).numpy(), expected, rtol=1e-9)
    if scored == 1:
        np.testing.assert_allclose(gradient_by_lag(network, batch).numpy(), expected[::-1], rtol=1e-9)


@pytest.mark.parametrize("core", CORES)
def test_gradient_by_time_step_equals_central_differences(core: str) -> None:
    """Both the readout and all later states depend on the changed state."""
    network, batch, difference = tagger(CORES[core], "copy"), BATCHES["copy"].rows(1, 2), 1e-5
    result = gradient_by_time_step(network, batch)
    network.eval()
    inputs = encoded(network, batch)
    with torch.no_grad():
        for step in (0, 5, inputs.shape[1] - 1):
            before, state = network.core(inputs[:, : step + 1])

            def loss(changed: list[Tensor], before: Tensor = before, step: int = step, state: Any = state) -> float:
                initial = changed[0] if isinstance(state, Tensor) else tuple(changed)
                outputs = [before[:, :-1], changed[0][-1][:, None]]
                if step + 1 < inputs.shape[1]:
                    outputs.append(network.core(inputs[:, step + 1 :], initial)[0])
                logits = network.readout(torch.cat(outputs, 1))
                return float(functional.cross_entropy(logits[0], batch.targets[0]))

            slopes = []
            for index, part in enumerate(tensors(state)):
                for element in range(part.numel()):
                    losses = []
                    for sign in (1, -1):
                        changed = [tensor.clone() for tensor in tensors(state)]
                        changed[index].view(-1)[element] += sign * difference
                        losses.append(loss(changed))
                    slopes.append((losses[0] - losses[1]) / (2 * difference))
            assert float(result[step]) == pytest.approx(np.linalg.norm(slopes), rel=1e-6)


def test_gradient_by_time_step_is_the_mean_over_the_sequences() -> None:
    network = tagger(CORES["GRU"])
    by_sequence = [gradient_by_time_step(network, BATCH.rows(row, row + 1)) for row in range(3)]
    torch.testing.assert_close(gradient_by_time_step(network, BATCH), torch.stack(by_sequence).mean(0))


def test_gradient_by_time_step_is_0_without_scored_steps() -> None:
    network = tagger(task="echo")
    batch = BATCHES["echo"]._replace(targets=torch.full((3, 7), NOT_SCORED))
    assert gradient_by_time_step(network, batch).tolist() == [0.0] * 7


def test_gradients_keep_their_norm_when_orthogonal_and_linear() -> None:
    network = tagger(partial(Elman, hidden_size=5, activation="identity"))
    with torch.no_grad():
        nn.init.orthogonal_(network.core.recurrent_weights()["weight_hh_l0"])
    norms = gradient_by_lag(network, BATCH)
    torch.testing.assert_close(norms, norms[0].expand(7))


def test_gradients_vanish_as_a_power_when_contracting_and_linear() -> None:
    network = tagger(partial(Elman, hidden_size=5, activation="identity"))
    with torch.no_grad():
        network.core.recurrent_weights()["weight_hh_l0"].copy_(0.3 * torch.eye(5))
    norms = gradient_by_lag(network, BATCH)
    torch.testing.assert_close(norms, norms[0] * 0.3 ** torch.arange(7).double())


def test_gradients_start_from_a_given_state() -> None:
    network, batch = language_network(CORES["LSTM with two layers"]), text()
    first, second = (Batch(batch.inputs[:, part], batch.targets[:, part]) for part in (slice(0, 4), slice(4, 6)))
    _, state = network.core(network.encode_inputs(first.inputs))
    torch.testing.assert_close(gradient_by_lag(network, second, state=state), gradient_by_lag(network, batch)[:2])
    second_scored = batch._replace(targets=torch.cat([torch.full((3, 4), NOT_SCORED), second.targets], 1))
    torch.testing.assert_close(
        gradient_by_time_step(network, second, state=state), gradient_by_time_step(network, second_scored)[4:]
    )


def test_gradients_include_an_output_outside_the_state() -> None:
    network, batch = tagger(partial(Foreign, hidden_size=5, layer=DoubledOutput), "echo"), BATCHES["echo"]
    plain = tagger(partial(RNN, hidden_size=5), "echo")
    plain.core.load_state_dict(
        {name.removeprefix("layer.cell.") + "_l0": value for name, value in network.core.state_dict().items()}
    )
    with torch.no_grad():
        plain.get_parameter("readout.weight").copy_(2 * network.get_parameter("readout.weight"))
        plain.get_parameter("readout.bias").copy_(network.get_parameter("readout.bias"))
    result, expected = gradient_by_lag(network, batch), gradient_by_lag(plain, batch)
    torch.testing.assert_close(result[1:], expected[1:])
    torch.testing.assert_close(result[0], expected[0] / 2)  # the gradient by the output
    with pytest.raises(UsageError, match="output is not part of its state"):
        gradient_by_lag(network, batch, part="hidden")


def test_gradient_by_lag_supports_conditional_readouts() -> None:
    network = tagger(condition_at="both", embedding_size=3)
    last = last_scored(BATCH)
    norms = []
    for row in range(3):
        hidden = hidden_states(network, BATCH)[row : row + 1, last[row] :][:, :1].requires_grad_()
        logits = network.readout(hidden, BATCH.condition[row : row + 1] if BATCH.condition is not None else None)
        loss = functional.cross_entropy(logits[0, 0], BATCH.targets[row, last[row]])
        norms.append(torch.autograd.grad(loss, hidden)[0].norm())
    torch.testing.assert_close(gradient_by_lag(network, BATCH)[0], torch.stack(norms).mean())


def test_gradient_by_lag_keeps_tiny_single_precision_values() -> None:
    """Each value is above 1e-45, the smallest number in single precision, but its square is not."""
    network = tagger(partial(Elman, hidden_size=5, activation="identity")).float()
    with torch.no_grad():
        network.core.recurrent_weights()["weight_hh_l0"].copy_(1e-6 * torch.eye(5))
    norms = gradient_by_lag(network, BATCH)
    torch.testing.assert_close(norms[5] / norms[0], torch.tensor(1e-30).double(), atol=0, rtol=1e-3)


@pytest.mark.parametrize("step", [-4, 4])
def test_gradient_by_lag_raises_for_a_missing_scored_step(step: int) -> None:
    batch = BATCH._replace(targets=BATCH.targets.clone())
    batch.targets[1, :4] = NOT_SCORED
    with pytest.raises(UsageError, match=f"one has only 3, got {step}"):
        gradient_by_lag(tagger(), batch, step)


def test_gradients_raise_for_an_unknown_part() -> None:
    with pytest.raises(UsageError, match="part must be 'state' or 'hidden', got 'cell'"):
        gradient_by_lag(tagger(), BATCH, part="cell")  # type: ignore[arg-type]


class ScaledNetwork(Network):
    """A custom network whose logits are three times those of a linear readout."""

    def __init__(self, core: Callable[[int], Core], spec: TaskSpec) -> None:
        super().__init__(core, spec)
        self.readout = nn.Linear(self.core.hidden_size, spec.output_size)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None, scored: Tensor | None = None) -> Tensor:
        logits: Tensor = 3 * self.readout(hidden)
        return logits


def test_gradients_of_a_custom_network_use_its_read_out() -> None:
    batch = BATCHES["echo"]
    custom, plain = ScaledNetwork(CORES["Elman"], TASKS["echo"].spec).double(), tagger(task="echo")
    plain.load_state_dict(custom.state_dict())
    with torch.no_grad():
        for parameter in plain.readout.parameters():
            parameter.mul_(3)
    torch.testing.assert_close(hidden_states(custom, batch), hidden_states(plain, batch))
    for function in (gradient_by_lag, gradient_by_time_step):
        torch.testing.assert_close(function(custom, batch), function(plain, batch))


@pytest.mark.parametrize("function", [encoded, hidden_states, state_trajectory, gradient_by_lag, gradient_by_time_step])
@pytest.mark.parametrize("condition_at", ["input", "readout", "both"])
def test_flow_of_shared_inputs_equals_expanded_inputs(function: Callable[..., Tensor], condition_at: Any) -> None:
    """Compare a batch that holds each string once with a batch that holds it once per delay."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=8, every_delay=True)
    batch = task.train_batch(0)
    assert (len(batch.inputs), batch.num_sequences) == (2, 8)
    network = tagger(condition_at=condition_at)
    torch.testing.assert_close(function(network, batch), function(network, batch.expanded()))


# --- no side effects --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [hidden_states, state_trajectory, gradient_by_lag, gradient_by_time_step])
@pytest.mark.parametrize("core", ["RNN with two layers", "orthogonal"])
def test_flow_leaves_the_network_unchanged(function: Callable[..., Tensor], core: str) -> None:
    network, batch = language_network(CORES[core], dropout=0.5), text()
    network.core.eval()  # one module in another mode
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    numbers = torch.get_rng_state()
    assert not function(network, batch).requires_grad
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_training_mode_is_restored_after_an_error() -> None:
    network = tagger()
    with pytest.raises(UsageError):
        state_trajectory(tagger(partial(Foreign, hidden_size=5, layer=WrappedStateGRU, options={"wrap": id})), BATCH)
    with pytest.raises(RuntimeError):
        hidden_states(network, BATCH, torch.zeros(1, 3, 99))
    assert network.training


@pytest.mark.parametrize("function", [gradient_by_lag, gradient_by_time_step])
@pytest.mark.parametrize("options", [{}, {"embedding_size": 3, "condition_at": "both"}])
def test_gradients_are_computed_in_inference_mode(function: Callable[..., Tensor], options: dict[str, Any]) -> None:
    """As in a validation hook, with data and states created in inference mode."""
    network = tagger(CORES["GRU"], **options)
    expected = function(network, BATCH, state=torch.ones(1, 3, 5).double())
    with torch.no_grad():
        torch.testing.assert_close(function(network, BATCH, state=torch.ones(1, 3, 5).double()), expected)
    with torch.inference_mode():
        batch = TASKS["variable_delay_echo"].train_batch(0)
        torch.testing.assert_close(function(network, batch, state=torch.ones(1, 3, 5).double()), expected)
