from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from rnn_tasks.analysis.flow import encoded, hidden_states
from rnn_tasks.analysis.snapshots import effective_weights, selected
from rnn_tasks.cores import Core, Elman, Normal
from rnn_tasks.explorer.arrays import decoded, exact, scaled
from rnn_tasks.explorer.weights import (
    MAX_MOMENTS,
    eigenvalue_arrays,
    moment_size,
    moment_values,
    precision_values,
    spread,
    stored_weights,
    with_weights,
)
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Adding
from tests.helpers.explorer_runs import (
    GENERATED_TASKS,
    LIVE_CORES,
    decoded_tensors,
    small_grammar,
    small_network,
    snapshots_of,
)

TASK = GENERATED_TASKS["variable_delay_echo"]
BATCH = next(iter(TASK.val_dataloader())).rows(0, 12).expanded()


def logits_by_hand(network: Network, weights: dict[str, Tensor], batch: Batch) -> Tensor:
    """Return the logits of a tanh layer and a readout for each condition, computed from stored weights only."""
    inputs = encoded(network, batch).double()
    hidden = inputs.new_zeros(len(inputs), weights["core.weight_hh_l0"].shape[0])
    logits = []
    for now in inputs.unbind(1):
        sums = now @ weights["core.weight_ih_l0"].T + weights["core.bias_ih_l0"]
        hidden = torch.tanh(sums + hidden @ weights["core.weight_hh_l0"].T + weights["core.bias_hh_l0"])
        readout, bias = weights["readout.weight"][batch.condition], weights["readout.bias"][batch.condition]
        logits.append((hidden[:, None] @ readout + bias)[:, 0])
    return torch.stack(logits, 1)


@pytest.mark.parametrize("core", ["Elman", "Elman with cayley", "RNN"])
def test_stored_weights_are_what_the_network_computes_with(core: str) -> None:
    network = small_network(TASK, LIVE_CORES[core], condition_at="readout")
    weights = decoded_tensors(stored_weights(network, 32))
    expected: Tensor = network(BATCH.inputs, BATCH.condition)[0]
    torch.testing.assert_close(logits_by_hand(network, weights, BATCH), expected.detach().double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("core", LIVE_CORES.values(), ids=LIVE_CORES.keys())
@pytest.mark.parametrize("options", [{}, {"condition_at": "both", "embedding_size": 3}], ids=["one_hot", "embedding"])
def test_stored_weights_make_the_same_network(core: Callable[[int], Core], options: dict[str, object]) -> None:
    network = small_network(TASK, core, **options)
    arrays = stored_weights(network, 32)
    assert not [name for name in arrays if "parametrizations" in name]
    copy = with_weights(network, decoded_tensors(arrays))
    assert torch.equal(hidden_states(copy, BATCH), hidden_states(network, BATCH))
    assert torch.equal(copy(BATCH.inputs, BATCH.condition)[0], network(BATCH.inputs, BATCH.condition)[0])


def test_stored_weights_have_the_names_of_torch() -> None:
    network = small_network(TASK, LIVE_CORES["Elman with one bias"], condition_at="both", embedding_size=3)
    shapes = {name: array["shape"] for name, array in stored_weights(network, 32).items()}
    size, conditions = TASK.spec.input_size, TASK.spec.num_conditions
    assert shapes == {
        "core.weight_ih_l0": [5, 6],
        "core.weight_hh_l0": [5, 5],
        "core.bias_ih_l0": [5],
        "symbol_embedding.weight": [size, 3],
        "condition_embedding.weight": [conditions, 3],
        "readout.weight": [conditions, 5, size],
        "readout.bias": [conditions, 1, size],
    }


def test_stored_weights_may_have_sixteen_bits() -> None:
    network = small_network(TASK)
    arrays = stored_weights(network, 16)
    assert {array["dtype"] for array in arrays.values()} == {"scaled16"}
    assert arrays["readout.bias"] == scaled(network.readout.bias)  # type: ignore[arg-type]


def test_network_itself_keeps_its_weights() -> None:
    network = small_network(TASK, LIVE_CORES["Elman with cayley"])
    before = network(BATCH.inputs, BATCH.condition)[0]
    zeros = {name: torch.zeros_like(weight) for name, weight in effective_weights(network).items()}
    assert not with_weights(network, zeros)(BATCH.inputs, BATCH.condition)[0].any()
    assert torch.equal(network(BATCH.inputs, BATCH.condition)[0], before)


def test_eigenvalues_have_columns_of_real_and_imaginary_parts() -> None:
    arrays = eigenvalue_arrays({"weight_hh_l0": torch.tensor([1 + 2j, 1 - 2j])})
    assert decoded_tensors(arrays)["weight_hh_l0"].tolist() == [[1, 2], [1, -2]]


@pytest.mark.parametrize("bits", [32, 16])
def test_precision_of_exact_and_of_rounded_weights(bits: int) -> None:
    network = small_network(TASK, LIVE_CORES["GRU with two layers"])
    values = precision_values(network, stored_weights(network, bits), BATCH, bits)
    assert (values["bits"], values["answers"]) == (bits, int(BATCH.scored.sum()))
    assert (values["largest_change"] > 0) == (bits == 16)
    assert values["largest_change"] < 1e-3
    assert values["changed"] <= values["answers"] * (bits == 16)


def test_precision_counts_changed_answers() -> None:
    network = small_network(TASK)
    before = network(BATCH.inputs, BATCH.condition)[0].softmax(-1).detach()
    weights = stored_weights(network, 32)
    weights["readout.bias"] = scaled(torch.tensor([0.0, 0, 50, 0, 0]))  # the copy always answers symbol 2
    values = precision_values(network, weights, BATCH, 16)
    answers = before.argmax(-1)[BATCH.scored]
    assert values["changed"] == int((answers != 2).sum()) > 0
    assert values["largest_change"] == pytest.approx(1 - float(before[BATCH.scored][:, 2].min()), abs=1e-5)


def test_precision_is_unknown_without_sequences() -> None:
    network = small_network(TASK)
    values = precision_values(network, stored_weights(network, 16), None, 16)
    assert values == {"bits": 16, "answers": 0, "changed": 0, "largest_change": None}


def test_precision_of_real_values_is_the_change_of_the_outputs() -> None:
    task = Adding(length=12, val_sequences=10)
    batch, network = next(iter(task.val_dataloader())), small_network(task)
    weights = stored_weights(network, 32)
    bias = weights["readout.bias"]
    weights["readout.bias"] = exact(torch.tensor(decoded(bias)) + 0.25)
    values = precision_values(network, weights, batch, 16)
    assert (values["answers"], values["changed"]) == (0, 0)
    assert values["largest_change"] == pytest.approx(0.25, abs=1e-6)


def test_precision_is_null_if_a_probability_is_not_a_number() -> None:
    start = Normal(1e30)
    network = small_network(TASK, lambda size: Elman(size, 3, activation="identity", recurrent_init=start))
    values = precision_values(network, stored_weights(network, 32), BATCH, 32)
    assert values["largest_change"] is None


def test_moments_are_snapshots_before_the_trained_network() -> None:
    network = small_network(TASK, LIVE_CORES["GRU with two layers"])
    snapshots = snapshots_of(network, BATCH, range(0, 40, 10))
    moments = moment_values(snapshots, network, 10**9)
    assert [moment["step"] for moment in moments] == [0, 10, 20, 30]
    for index, moment in enumerate(moments):
        for name, weight in decoded_tensors(moment["weights"]).items():
            largest = float(snapshots.weights[name][index].abs().max())
            torch.testing.assert_close(weight, snapshots.weights[name][index].double(), atol=largest / 65000, rtol=0)
        eigenvalues = decoded_tensors(moment["eigenvalues"])
        assert list(eigenvalues) == list(network.core.recurrent_weights())
        assert torch.equal(
            torch.view_as_complex(eigenvalues["weight_hh_l0/update"].float().contiguous()),
            snapshots.eigenvalues["weight_hh_l0/update"][index],
        )


def test_moments_are_of_parametrized_layers_too() -> None:
    network = small_network(TASK, LIVE_CORES["Elman with cayley"])
    (moment,) = moment_values(snapshots_of(network, BATCH, range(1)), network, 10**9)
    assert moment["weights"]["core.weight_hh_l0"] == stored_weights(network, 16)["core.weight_hh_l0"]


def test_moments_fit_and_keep_the_first_one() -> None:
    network = small_network(TASK)
    snapshots, size = snapshots_of(network, BATCH, range(0, 40)), moment_size(network)

    def steps(most_bytes: int) -> list[int]:
        return [moment["step"] for moment in moment_values(snapshots, network, most_bytes)]

    assert steps(-5) == steps(size - 1) == []
    assert steps(size) == [0]
    assert steps(3 * size) == [0, 20, 39]
    assert len(steps(10**9)) == MAX_MOMENTS
    assert steps(10**9)[::15] == [0, 39]


def test_moments_are_earlier_than_the_trained_network() -> None:
    network = small_network(TASK)
    snapshots = snapshots_of(network, BATCH, range(0, 50, 10))
    moments = moment_values(snapshots, network, 10**9, trained_steps=30)
    assert [moment["step"] for moment in moments] == [0, 10, 20]


def test_moments_leave_out_weights_that_are_not_finite() -> None:
    network = small_network(TASK)
    snapshots = snapshots_of(network, BATCH, range(4))
    snapshots.weights["readout.bias"][1, 0] = float("nan")
    snapshots.weights["core.weight_hh_l0"][2, 0, 0] = float("inf")
    assert [moment["step"] for moment in moment_values(snapshots, network, 10**9)] == [0, 3]


def test_moments_leave_out_the_trained_weights() -> None:
    network = small_network(TASK)
    snapshots = snapshots_of(network, BATCH, range(3), change=0)
    assert moment_values(snapshots, network, 10**9) == []
    assert len(moment_values(selected(snapshots, torch.tensor([True, False, False])), small_network(TASK), 10**9)) == 1


def test_snapshots_of_another_network_give_no_moments() -> None:
    snapshots = snapshots_of(small_network(TASK), BATCH, range(2))
    for other in (small_network(TASK, LIVE_CORES["RNN with relu and two layers"]), small_network(small_grammar())):
        assert moment_values(snapshots, other, 10**9) == []


def test_spread_has_distinct_items_at_equal_distances() -> None:
    for count in range(1, 30):
        chosen = spread(range(30), count)
        assert len(set(chosen)) == count
        assert chosen == sorted(chosen)
        if count > 1:
            distances = [later - earlier for earlier, later in pairwise(chosen)]
            assert max(distances) - min(distances) <= 1
            assert (chosen[0], chosen[-1]) == (0, 29)
