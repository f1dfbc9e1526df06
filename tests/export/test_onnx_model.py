"""Exported networks in ONNX Runtime, compared with the networks themselves."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import GRU, LRU, S4D, Blocks, Core, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.export.onnx_model import cummax, onnx_model, solve_triangular
from rnn_tasks.export.step import Step, names_of
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.spec import TaskSpec
from tests.helpers.configs import MODELS
from tests.helpers.exported import largest_difference, perturbed_network
from tests.helpers.rotation import slow_tenth

DOCS = Path(__file__).parents[2] / "docs"
PAIRS = [(task, model) for model in MODELS for task in ("echo", "elman_grammar")]


@pytest.mark.parametrize(("task", "model"), slow_tenth(PAIRS, "-".join))
def test_export_equals_the_network_over_50_steps(task: str, model: str) -> None:
    network, same = (perturbed_network(task, model, {"hidden_size": 16}) for _ in range(2))
    assert largest_difference(network, same) < 1e-5


def test_documented_differences_are_small_for_every_overlay() -> None:
    header, *rows = (line.split(",") for line in (DOCS / "export.csv").read_text().splitlines())
    page = (DOCS / "export.md").read_text()
    assert header == ["overlay", "echo", "elman_grammar"]
    assert [model for model, *_ in rows] == MODELS
    assert all(float(difference) < 1e-5 for _, *differences in rows for difference in differences)
    assert all(f"| `{model}` | {echo} | {grammar} |" in page for model, echo, grammar in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"), [("variable_delay_echo", {"num_layers": 2, "hidden_size": 8}), ("adding", {"hidden_size": 8})]
)
def test_export_takes_conditions_and_features(task: str, options: dict[str, int]) -> None:
    network, same = (perturbed_network(task, "gru", options) for _ in range(2))
    assert largest_difference(network, same, batch_size=3) < 1e-5


def tagger(core: Callable[[int], Core]) -> TaggerNetwork:
    torch.manual_seed(0)
    return TaggerNetwork(core, TaskSpec(5, 5)).eval()


@pytest.mark.parametrize(
    "core",
    [
        partial(LRU, hidden_size=8, num_states=3),
        partial(S4D, hidden_size=8, num_states=6),
        partial(Blocks, hidden_size=8, core=partial(LRU, max_phase=0.5)),
    ],
    ids=["LRU", "S4D", "Blocks"],
)
def test_real_form_equals_the_complex_layer(core: Callable[[int], Core]) -> None:
    network, step = tagger(core), Step(tagger(core))
    inputs, _ = step.inputs(batch_size=2, steps=50, seed=3)
    expected, _ = network(inputs)
    state = [tensor.zeros(2) for tensor in step.tensors]
    for time in range(50):
        scores, *state = step(inputs[:, time], None, state)
        torch.testing.assert_close(scores, expected[:, time], rtol=1e-4, atol=1e-5)
    assert not any(module for module in step.modules() if isinstance(module, LRU | S4D))


class StartsAtOne(nn.Module):
    """A layer whose first state is not zero."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(input_size, hidden_size))

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        start = torch.ones(len(inputs), 1, self.weight.shape[1]) if state is None else state
        outputs = (inputs @ self.weight).cumsum(1) + start
        return outputs, outputs[:, -1:]


class Sorts(StartsAtOne):
    """A layer with an operation that the exporter does not know."""

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        start = inputs.new_zeros(inputs.shape[0], 1, self.weight.shape[1]) if state is None else state
        outputs = (inputs @ self.weight).cumsum(1) + start
        return torch.special.bessel_j0(outputs), outputs[:, -1:]


def test_layer_that_does_not_start_from_zeros_is_refused() -> None:
    with pytest.raises(UsageError, match="from a state of zeros, its outputs differ"):
        Step(tagger(partial(Foreign, hidden_size=8, layer=StartsAtOne)))


@pytest.mark.slow
def test_operation_without_onnx_form_is_named() -> None:
    with pytest.raises(UsageError, match=r"this layer cannot be exported: .*bessel_j0"):
        onnx_model(Step(tagger(partial(Foreign, hidden_size=8, layer=Sorts))), {})


def test_names_of_state_tensors_are_their_positions() -> None:
    one = torch.zeros(1)
    assert list(names_of((one, [one, {"a": one}], None))) == ["state_0", "state_1_0", "state_1_1_a"]
    step = Step(tagger(partial(GRU, hidden_size=8)))
    assert [(tensor.name, tensor.shape) for tensor in step.tensors] == [("state", (1, None, 8))]


def test_decompositions_equal_the_operations() -> None:
    matrix, right = torch.randn(4, 3, 3), torch.randn(4, 3, 5)
    expected = torch.linalg.solve_triangular(matrix, right, upper=False, unitriangular=True)
    torch.testing.assert_close(solve_triangular(matrix, right, upper=False, unitriangular=True), expected)
    values = torch.randn(4, 1, 3)
    for actual, correct in zip(cummax(values, 1), values.cummax(1), strict=True):
        assert torch.equal(actual, correct)
    with pytest.raises(NotImplementedError):
        cummax(values, 0)
    with pytest.raises(NotImplementedError):
        solve_triangular(matrix, right, upper=True)
