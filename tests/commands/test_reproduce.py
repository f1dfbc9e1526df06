import csv
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnn_tasks.cli.exit_status import one_line_errors
from rnn_tasks.cli.shipped import CONFIGS, shipped, shipped_names
from rnn_tasks.commands.reproduce import reproduce
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.report.page import PAGE
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.runs.trained_network import load_network
from rnn_tasks.studies import published_values
from rnn_tasks.studies.plan_file import study_names
from rnn_tasks.studies.published_file import RESULTS_FILE, published_from, read_published
from rnn_tasks.studies.published_values import (
    COMPUTED,
    MEASURED,
    counting_optimum,
    first_failure_of_run,
    lexicon_share_of_run,
    ngram_of_windows,
    reservoir_memory_capacity,
    stable_fixed_points_of_run,
)
from rnn_tasks.tasks import Counting
from tests.helpers.command_line import SMALL, SMALL_TEXT, RnnTasks, run_command

SETTINGS = dict(option.removeprefix("--").split("=") for option in SMALL)
FOLDER = Path("lightning_logs/studies/reproduce")


def tiny_result(run: str, low: float, high: float, **others: Any) -> dict[str, Any]:
    return {"what": "it", "run": run, "published": [low, high], "tolerance": 0, "source": "a book", **others}


TINY: dict[str, Any] = {
    "about": "Tiny results.",
    "runs": {
        "slow": {"configs": ["echo", "models/rnn"], "set": SETTINGS, "minutes": 2, "slow": True},
        "quick": {"configs": ["echo", "models/qr_rnn"], "set": SETTINGS, "minutes": 1, "seeds": [0, 1]},
    },
    "results": {
        "quick_steps": tiny_result("quick", 4, 4, metric="steps", decimals=0),
        "quick_loss": tiny_result("quick", 90, 99, metric="test/loss", known_deviation="It is in another unit."),
        "quick_norm": tiny_result("quick", 0.99, 1.01, curve="spectral_norm/weight_hh_l0"),
        "quick_taste": tiny_result("quick", 0, 1, metric="test/taste"),
        "quick_smell": tiny_result("quick", 0, 1, curve="spectral_norm/smell"),
        "slow_loss": tiny_result("slow", 0, 99, metric="val/loss"),
    },
}


@pytest.fixture
def results_file(working_folder: Path) -> Path:
    """The path of a file of tiny results."""
    path = working_folder / "results.yaml"
    path.write_text(yaml.safe_dump(TINY, sort_keys=False))
    return path


@pytest.fixture
def reproduce_tiny(results_file: Path, capsys: pytest.CaptureFixture[str]) -> RnnTasks:
    """Return the command ``reproduce`` with the tiny results instead of the shipped ones."""

    def command(arguments: list[str]) -> None:
        with one_line_errors():
            reproduce(arguments, results_file)

    return lambda *arguments: run_command(command, [*arguments], capsys)


def verdicts() -> dict[str, str]:
    rows = csv.DictReader((FOLDER / "report/results.csv").read_text().splitlines())
    return {row["result"]: row["verdict"] for row in rows}


def trained_runs(out: str) -> list[str]:
    """Return the names of the runs that a command reports as done."""
    return re.findall(r"^([a-z]+-seed\d): ", out, re.M)


@pytest.mark.slow
def test_reproduce_does_only_missing_runs(rnn_tasks: RnnTasks, reproduce_tiny: RnnTasks) -> None:
    result = reproduce_tiny("--jobs", "2")
    assert (result.status, result.err) == (0, "")
    assert sorted(trained_runs(result.out)) == ["quick-seed0", "quick-seed1"]
    expected = {"quick_steps": "within", "quick_loss": "outside", "quick_norm": "within"}
    expected |= {"quick_taste": "failed", "quick_smell": "failed", "slow_loss": "not run"}
    assert verdicts() == expected
    assert "has no spectral_norm/smell" in result.out
    assert "| quick_steps | it | 4 | 4 (4 to 4) | +0 | 0 | within | a book |" in result.out
    assert "- quick_loss: outside: It is in another unit." in result.out
    assert "- slow_loss: not run: rnn-tasks reproduce slow (2 minutes)" in result.out
    assert (FOLDER / "report/results.md").read_text().count("| within |") == 2
    page = (FOLDER / "report" / PAGE).read_text()
    assert "It is in another unit." in page
    assert "2 done, 1 pending" in page
    runs = FOLDER / "runs"
    first = {path.name: (path / "summary.json").stat().st_mtime_ns for path in runs.iterdir() if path.is_dir()}
    assert sorted(first) == ["quick-seed0", "quick-seed1"]
    result = reproduce_tiny("slow_loss")
    assert trained_runs(result.out) == ["slow-seed0"]
    assert "quick_loss" not in result.out  # only the named results are printed
    assert verdicts() == {**expected, "slow_loss": "within"}  # but all results are written
    again = {path.name: (path / "summary.json").stat().st_mtime_ns for path in runs.iterdir() if path.is_dir()}
    assert {name: again[name] for name in first} == first
    result = reproduce_tiny("--all")
    assert trained_runs(result.out) == []
    assert rnn_tasks("respond", "echo", "abc").status == 2  # these runs do not count as the newest run of a task


@pytest.mark.slow
def test_failed_run_is_a_row_with_its_reason(reproduce_tiny: RnnTasks, results_file: Path) -> None:
    wrong = {"configs": "echo", "set": {"data.dealy": 3}, "minutes": 1, "slow": True}
    results_file.write_text(yaml.safe_dump({**TINY, "runs": {**TINY["runs"], "slow": wrong}}, sort_keys=False))
    result = reproduce_tiny("slow")
    assert result.status == 1
    assert verdicts() == {**dict.fromkeys(TINY["results"], "not run"), "slow_loss": "failed"}
    assert re.search(r"- slow_loss: failed: .*did you mean", result.out)
    assert trained_runs(reproduce_tiny("slow").out) == []
    assert trained_runs(reproduce_tiny("slow", "--retry-failed").out) == ["slow-seed0"]
    results_file.write_text(yaml.safe_dump(TINY, sort_keys=False))
    result = reproduce_tiny("slow")  # a run with other settings is another run
    assert (result.status, trained_runs(result.out)) == (0, ["slow-seed0"])
    assert verdicts()["slow_loss"] == "within"


def test_list_prints_results_and_their_costs(reproduce_tiny: RnnTasks) -> None:
    lines = reproduce_tiny("--list").out.splitlines()
    assert len(lines) == len(TINY["results"]) + 1
    assert lines[0] == "quick_steps  it: 4  a book  2 minutes (quick)"
    assert lines[-2].endswith("2 minutes (slow), with --all or by name")
    assert lines[-1] == "about 1 min with --jobs 2 on two cores, without the slow runs"
    assert len(reproduce_tiny("--list", "quick_loss").out.splitlines()) == 2
    assert not FOLDER.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["windows_gri"], "no result or run windows_gri; did you mean windows_gru?"),
        (["--jobs", "0"], "jobs must be at least 1"),
        (["--all", "windows_gru"], "give either names or --all"),
        (["--jobs", "two"], "invalid int value"),
    ],
)
def test_mistake_is_reported_on_one_line(rnn_tasks: RnnTasks, arguments: list[str], message: str) -> None:
    result = rnn_tasks("reproduce", *arguments)
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err
    assert not FOLDER.exists()


def test_shipped_results_take_at_most_half_an_hour() -> None:
    published = read_published(RESULTS_FILE)
    functions = {result.key for result in published.results if result.source_kind == "function" and result.run is None}
    assert functions == set(COMPUTED)
    assert {r.key for r in published.results if r.source_kind == "function" and r.run is not None} == set(MEASURED)
    assert {result.run for result in published.results if result.run} == set(published.costs)
    usual = [cost.total for cost in published.costs.values() if not cost.slow]
    assert max(usual) <= sum(usual) / 2 <= 25
    assert not [name for name in [*shipped_names(), *study_names()] if "results" in name]


def test_each_shipped_run_has_an_existing_recipe() -> None:
    published = read_published(RESULTS_FILE)
    for run in published.plan(published.costs).runs():
        configs = [*run.variants["run"].configs]
        assert len(configs) == 1
        assert shipped(configs[0]) is not None, configs


def test_each_published_recipe_names_its_source() -> None:
    recipes = [*(CONFIGS / "published").glob("*.yaml")]
    assert recipes
    assert not [recipe for recipe in recipes if "# Source: " not in recipe.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    ("run", "where", "value"),
    [
        ("classic_gru", "model.init_args.core.class_path", "rnn_tasks.cores.GRU"),
        ("classic_lstm", "model.init_args.core.init_args.hidden_size", 256),
        ("variable_delay_echo_gru_200", "trainer.max_epochs", 200),
    ],
)
def test_shipped_run_changes_its_recipe(rnn_tasks: RnnTasks, run: str, where: str, value: Any) -> None:
    plan = read_published(RESULTS_FILE).plan({run})
    (planned,) = plan.runs()
    Path("overlay.yaml").write_text(yaml.safe_dump(plan.overlay(planned)))
    result = rnn_tasks(*plan.arguments(planned, ["overlay.yaml"]), "--print_config")
    assert (result.status, result.err) == (0, "")
    config = yaml.safe_load(result.out)
    for name in where.split("."):
        config = config[name]
    assert config == value


def test_published_results_equal_the_page_on_text() -> None:
    page = CONFIGS.parent / "docs/text.md"
    if not page.is_file():
        pytest.skip("the documentation is not part of this distribution")
    lines = re.findall(r"^\| `(\w+)` \|[^|]*\| ([\d.]+) / ([\d.]+) \|", page.read_text(encoding="utf-8"), re.M)
    assert len(lines) == 7
    shown = {result.name: result.published for result in read_published(RESULTS_FILE).results}
    for name, train, val in lines:
        assert (shown[f"windows_{name}_train"], shown[f"windows_{name}_val"]) == (train, val)


def test_ngram_equals_the_baseline_of_a_run(rnn_tasks: RnnTasks) -> None:
    options = [option for option in SMALL_TEXT if "sequence_length" not in option]
    assert rnn_tasks("fit", "--config", "published/time_machine_windows_gru", *options).status == 0
    (path,) = Path("lightning_logs").glob("*/version_0/summary.json")
    assert ngram_of_windows() == pytest.approx(json.loads(path.read_text())["baseline"]["val"]["perplexity"])


def test_result_is_not_run_without_the_book(
    reproduce_tiny: RnnTasks, results_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "nowhere")
    counted = {"what": "it", "function": "ngram_of_windows", "published": 5, "tolerance": 1, "source": "a book"}
    results_file.write_text(yaml.safe_dump({**TINY, "results": {"counted": counted}}))
    result = reproduce_tiny()
    assert (result.status, verdicts()) == (0, {"counted": "not run"})
    assert "nowhere" in result.out


def test_memory_capacity_equals_that_of_reservoirpy() -> None:
    nodes, observables = (pytest.importorskip(f"reservoirpy.{name}") for name in ("nodes", "observables"))
    model = nodes.Reservoir(100, sr=1, seed=1) >> nodes.Ridge(ridge=1e-4)
    assert reservoir_memory_capacity() == pytest.approx(observables.memory_capacity(model, k_max=50, seed=1), rel=0.01)


def test_memory_capacity_names_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reservoirpy.nodes", None)
    with pytest.raises(UsageError, match="pip install reservoirpy"):
        reservoir_memory_capacity()


def test_lexicon_share_uses_the_last_weights(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[Any, ...]] = []

    def generate(network: LanguageNetwork, prefix: str, length: int, temperature: float, seed: int) -> str:
        written.append((length, temperature, seed))
        return "oy the cat xyzzy the bo"  # the first and the last word may be cut

    monkeypatch.setattr(LanguageNetwork, "generate", generate)
    run = Path("lightning_logs/elman_grammar/version_0")
    (run / "checkpoints/best.ckpt").unlink()
    assert lexicon_share_of_run(run) == 3 / 4
    assert written == [(20_000, 0.5, 0)]
    with pytest.raises(UsageError, match="is not a language model"):
        lexicon_share_of_run(Path("lightning_logs/echo/version_0"))


class CounterTo60(torch.nn.Module):
    """A network that knows a^n b^n c^n up to n = 60: its counters stop there."""

    spec = Counting("an_bn_cn").spec

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        answers: list[list[int]] = []
        for row in inputs.tolist():
            b, c = 0, 0
            answers.append([])
            for symbol in row:
                b, c = (min(b + 1, 60), min(c + 1, 60)) if symbol == 1 else (b - (symbol == 2), c - (symbol == 3))
                answers[-1].append(1 if symbol == 0 else 2 if b > 0 else 3 if c > 0 else 0)
        return torch.nn.functional.one_hot(torch.tensor(answers), 4), None


def test_first_failure_uses_the_last_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[RunLocation] = []

    def load(location: RunLocation) -> torch.nn.Module:
        loaded.append(location)
        return CounterTo60()

    monkeypatch.setattr(published_values, "load_network", load)
    assert first_failure_of_run(Path("run")) == 61
    assert loaded == [RunLocation(Path("run"), Path("run/checkpoints/last.ckpt"))]
    monkeypatch.setattr(CounterTo60, "spec", Counting("an_bn").spec)
    with pytest.raises(UsageError, match="letters '#ab', not '#abc'"):
        first_failure_of_run(Path("run"))


def test_stable_fixed_points_are_the_ends_of_long_runs(trained: RnnTasks) -> None:
    folder = Path("lightning_logs/flip_flop_bits/version_0")
    network = load_network(RunLocation(folder)).double()
    with torch.no_grad():
        state = None
        for inputs in (torch.randn(200, 5, 3), torch.zeros(200, 5000, 3)):
            outputs, state = network.core(inputs.double(), state)
    ends = outputs[:, -1]
    assert torch.allclose(outputs[:, -2], ends)  # all of them are at rest
    assert stable_fixed_points_of_run(folder) == len(torch.unique(ends.round(decimals=4), dim=0))
    with pytest.raises(UsageError, match="no constant input"):
        stable_fixed_points_of_run(Path("lightning_logs/elman_xor/version_0"))


def test_counting_optimum_equals_the_sum_over_symbols() -> None:
    """Each a but the first has probability 0.7, and the first b 0.3."""
    bits = sum(-(n - 1) * math.log2(0.7) - math.log2(0.3) for n in range(15, 1015))
    assert counting_optimum("an_bn") == pytest.approx(bits / sum(2 * n + 1 for n in range(15, 1015)))


def test_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("runs: [")
    with pytest.raises(UsageError, match=r"broken\.yaml is not valid YAML"):
        read_published(path)
    assert published_from(TINY, "tiny").costs["quick"].time == "2 minutes"
