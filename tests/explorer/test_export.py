import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rnn_tasks import __version__
from rnn_tasks.analysis.dynamics import eigenvalues
from rnn_tasks.cores import GRU, Core, Elman, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.explorer.export import difference_of, has_finite_weights, load_runs
from rnn_tasks.explorer.weights import moment_size, weights_size
from rnn_tasks.report.run_data import TASK_PARTS
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.spec import Codec, TaskSpec, Vocabulary
from rnn_tasks.tasks import Copy, Echo, VariableDelayEcho
from tests.helpers.explorer_runs import (
    GENERATED_TASKS,
    LIVE_CORES,
    RECORDED_CORES,
    data_of,
    decoded_tensors,
    small_network,
    small_run,
    snapshots_of,
)

TASK = GENERATED_TASKS["echo"]
BATCH = next(iter(TASK.val_dataloader())).rows(0, 4).expanded()


def facts_of(values: dict[str, Any]) -> dict[str, str]:
    return dict(values["facts"])


def test_data_have_the_parts_of_the_page() -> None:
    data = data_of(small_run(TASK, checkpoint=Path("last.ckpt")))
    assert data.keys() == {"version", "task", "sequences", "missing", "runs"}
    assert data["version"] == __version__
    assert data["missing"] == ["The run has no snapshots of its training (train with --config watch)."]
    (run,) = data["runs"]
    assert (run["label"], run["live"], run["reason"]) == ("Elman", True, None)
    assert run["state_parts"] == [
        {"name": "layer 1 hidden", "start": 0, "size": 5, "step": 1, "columns": 1, "rows": "units"}
    ]
    known = facts_of(run)
    assert known["test accuracy"] == "0.5000 (of best.ckpt)"
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize("core", LIVE_CORES.values(), ids=LIVE_CORES.keys())
def test_live_network_is_exact(core: Callable[[int], Core]) -> None:
    network = small_network(TASK, core)
    (run,) = data_of(small_run(TASK, network))["runs"]
    assert (run["recordings"], run["precision"]["bits"], run["precision"]["changed"]) == (None, 32, 0)
    assert run["network"]["layer"]["hidden_size"] == network.core.hidden_size
    stored, computed = decoded_tensors(run["eigenvalues"]), eigenvalues(network)
    assert list(stored) == list(computed)
    for name, values in computed.items():
        torch.testing.assert_close(torch.view_as_complex(stored[name]), values, atol=1e-6, rtol=0)


def test_state_has_hidden_states_before_cells() -> None:
    (run,) = data_of(small_run(TASK, small_network(TASK, LIVE_CORES["LSTM with two layers"])))["runs"]
    assert [part["name"] for part in run["state_parts"]] == [
        "layer 1 hidden",
        "layer 2 hidden",
        "layer 1 cell",
        "layer 2 cell",
    ]


@pytest.mark.parametrize("core", RECORDED_CORES.values(), ids=RECORDED_CORES.keys())
def test_other_layers_are_recorded(core: Callable[[int], Core]) -> None:
    (run,) = data_of(small_run(TASK, small_network(TASK, core)))["runs"]
    assert not run["live"]
    assert run["reason"] == (
        "This page has no equations for the class Foreign, so it shows recorded states and answers on the first 20 "
        "stored sequences."
    )
    assert (run["network"], run["weights"], run["moments"], run["precision"]) == (None, {}, [], None)
    assert run["recordings"]["states"]["shape"][0] == 20
    json.dumps(run, allow_nan=False)


def test_layer_that_cannot_be_recorded_is_refused() -> None:
    class Broken(nn.Module):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__()
            self.layer = nn.RNN(input_size, hidden_size, batch_first=True)

        def forward(self, inputs: torch.Tensor, state: Any = None) -> Any:
            if len(inputs) > 10:
                raise KeyError("too many")
            return self.layer(inputs, state)

    network = small_network(TASK, partial(Foreign, hidden_size=4, layer=Broken))
    with pytest.raises(UsageError, match=r"no equations for the class Foreign, and recorded traces: .*too many"):
        data_of(small_run(TASK, network))


def test_layer_without_sequences_cannot_be_recorded() -> None:
    run = replace(small_run(TASK, small_network(TASK, RECORDED_CORES["foreign LSTM"])), task=None)
    with pytest.raises(UsageError, match="there are no sequences to record"):
        data_of(run)


def test_page_without_data_hides_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    run = replace(small_run(TASK), task=None, missing=[f"{TASK_PARTS}: /home/me/book.txt does not exist"])
    data = data_of(run)
    assert data["sequences"] is None
    assert data["missing"][0].startswith("There are no stored sequences: ")
    assert "/home" not in json.dumps(data)
    assert capsys.readouterr().err == f"note: {TASK_PARTS}: /home/me/book.txt does not exist\n"
    assert data["task"]["strings"]["letters"] == list("abcd")
    assert data["runs"][0]["precision"]["answers"] == 0


def test_sequences_are_those_of_the_second_run_if_the_first_has_none() -> None:
    first, second = replace(small_run(TASK), task=None), small_run(TASK)
    assert data_of(first, second)["sequences"] == data_of(second)["sequences"]


def test_two_runs_have_their_own_labels_and_notes() -> None:
    runs = [small_run(TASK, label="A: Elman"), small_run(TASK, label="B: GRU", summary={})]
    data = data_of(*runs)
    assert [run["label"] for run in data["runs"]] == ["A: Elman", "B: GRU"]
    assert [fact[0] for fact in data["runs"][0]["facts"]] == [fact[0] for fact in data["runs"][1]["facts"]]
    assert facts_of(data["runs"][1])["test accuracy"] == "-"
    assert "B: The run is not complete, so its verdict and test results are unknown." in data["missing"]


def test_runs_of_other_delays_are_noted() -> None:
    runs = [small_run(Copy(delay=delay, val_sequences=5), label=label) for delay, label in ((2, "A: a"), (9, "B: b"))]
    assert (
        data_of(*runs)["missing"][-1]
        == "The delays and the numbers of letters are those of A; B was trained on others."
    )


def test_hostile_texts_are_printable() -> None:
    hostile = "\x1b[31m\u202e\ud800</script>"
    run = small_run(TASK, label=hostile, summary={"task": hostile, "verdict": hostile})
    run = replace(run, folder=Path("a", hostile[:5]))
    data = data_of(run, run)
    shown = [
        data["task"]["name"],
        data["runs"][0]["name"],
        data["runs"][0]["label"],
        *facts_of(data["runs"][0]).values(),
    ]
    assert all(text.isprintable() for text in shown)


def watched(network: Any, steps: range = range(6)) -> Any:
    return small_run(TASK, network, snapshots=snapshots_of(network, BATCH, steps))


def test_weights_are_exact_only_if_a_moment_fits_too() -> None:
    network = small_network(TASK, LIVE_CORES["GRU with two layers"])
    enough = weights_size(network, 32) + moment_size(network)
    (exact,) = data_of(watched(network), most_bytes=enough)["runs"]
    (rounded,) = data_of(watched(network), most_bytes=enough - 1)["runs"]
    assert (exact["precision"]["bits"], [moment["step"] for moment in exact["moments"]]) == (32, [0])
    assert (rounded["precision"]["bits"], [moment["step"] for moment in rounded["moments"]]) == (16, [0])
    (bare,) = data_of(small_run(TASK, network), most_bytes=weights_size(network, 32))["runs"]
    assert bare["precision"]["bits"] == 32


def test_snapshots_that_do_not_fit_are_mentioned() -> None:
    network = small_network(TASK)
    for most_bytes, mentioned in ((10**6, 0), (0, 1)):
        missing = data_of(watched(network), most_bytes=most_bytes)["missing"]
        assert sum("do not fit into this page" in line for line in missing) == mentioned


@pytest.mark.parametrize("size", [math.nan, 1e30])
def test_weights_that_cannot_be_computed_are_not_finite(size: float) -> None:
    network = small_network(TASK, partial(Elman, hidden_size=4, orthogonal_map="matrix_exp"))
    assert has_finite_weights(network)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("weight_hh_l0.original"):
                weight.copy_(size * torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    assert not has_finite_weights(network)


def test_two_networks_share_the_size() -> None:
    network = small_network(TASK)
    both = 2 * (weights_size(network, 32) + 3 * moment_size(network))
    runs = data_of(watched(network, range(10)), watched(network, range(10)), most_bytes=both)["runs"]
    assert [len(run["moments"]) for run in runs] == [3, 3]
    alone = data_of(watched(network, range(10)), small_run(TASK, network), most_bytes=both)["runs"]
    assert (len(alone[0]["moments"]), alone[1]["moments"]) == (6, [])


@pytest.mark.parametrize("bits", [32, 16])
def test_estimated_size_is_an_upper_bound(bits: int) -> None:
    network = small_network(TASK, partial(GRU, hidden_size=40, num_layers=2))
    most_bytes = weights_size(network, bits) + moment_size(network)
    (run,) = data_of(watched(network), most_bytes=most_bytes)["runs"]
    size = len(json.dumps([run["weights"], run["moments"]], separators=(",", ":")))
    assert (run["precision"]["bits"], len(run["moments"])) == (bits, 1)
    assert 0.9 * most_bytes < size <= most_bytes


def test_differences_of_symbols_are_named() -> None:
    echo, delays = Echo(alphabet_size=4).spec, VariableDelayEcho(alphabet_size=4, max_delay=3).spec
    assert difference_of(echo, echo) is None
    assert difference_of(echo, Echo(alphabet_size=4, delay=1).spec) is None
    assert difference_of(echo, Echo(alphabet_size=5).spec) == "B was trained on letters 'abcde', not 'abcd'"
    assert (
        difference_of(delays, VariableDelayEcho(alphabet_size=4, max_delay=2).spec)
        == "B was trained on 3 delays, not 4"
    )
    assert (
        difference_of(VariableDelayEcho(alphabet_size=4, max_delay=2).spec, delays)
        == "A was trained on 3 delays, not 4"
    )
    texts = [TaskSpec(4, 4, vocabulary=Vocabulary(characters)) for characters in ("abc", "abd")]
    assert difference_of(*texts) == "A and B were trained on texts with different characters"
    assert difference_of(TaskSpec(4, 4, codec=Codec(" abc", "abc")), texts[0]) is not None


@pytest.fixture
def echo(trained_logs: Path) -> RunLocation:
    return RunLocation(trained_logs / "echo" / "version_0")


def test_runs_of_two_tasks_are_refused(echo: RunLocation, trained_logs: Path) -> None:
    with pytest.raises(UsageError, match=r"^a page compares networks of one task, not of copy and echo$"):
        load_runs([echo, RunLocation(trained_logs / "copy" / "version_0")])


def test_loaded_runs_have_letters(echo: RunLocation) -> None:
    assert [run.letter for run in load_runs([echo, echo])] == ["A", "B"]
