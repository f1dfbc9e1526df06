"""Cards from stored results, without training."""

import json
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from rnn_tasks.analysis.cost import Cost
from rnn_tasks.cores import GRU
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.profile.card import Card, task_cards
from rnn_tasks.profile.known import COLUMNS
from rnn_tasks.profile.layer import ProfiledLayer
from rnn_tasks.profile.measures import Measures, measure
from rnn_tasks.profile.page import write_card
from rnn_tasks.profile.plan import layer_of, profile_plan, read_suite
from rnn_tasks.profile.texts import own_cell, seeds_text, tried_text
from rnn_tasks.studies.plan import PlannedRun
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.rows import REASON, RESULT
from rnn_tasks.studies.table import runs_in
from rnn_tasks.tasks import TemporalOrder

SUITE = read_suite()
PLAN = replace(profile_plan(layer_of("gru", SUITE), SUITE, quick=True), seeds=(0, 1))
BASELINE = {"accuracy": 0.25, "loss": 1.4, "plateaus": [{"name": "knows only the latest mark", "accuracy": 0.5}]}
UNMEASURED = Measures(None, None, None)
LAYER = ProfiledLayer(
    "gru",
    TaggerNetwork(partial(GRU, hidden_size=6), TemporalOrder().spec).eval(),
    "rnn_tasks.cores.GRU",
    "A gated <b>unit</b>.",
    {"class_path": "GRU"},
    None,
    {"trainer.gradient_clip_val": 9},
)


def outcome(run: PlannedRun) -> dict[str, Any] | str:
    """Return the result of a run, or why it failed."""
    task, rates = run.variants["task"].name, run.variants["rates"].name
    if task == "recall":
        return "the run diverged: the loss is nan at step 3"
    solved_at = {"slow": 200, "fast": 100, "slow_core": None}[rates] if task == "temporal_order" else None
    solved_at = None if run.seed == 1 else solved_at
    metrics = {"val/loss": 1.0, "test/worst_accuracy": 0.5 if solved_at is None else 1.0}
    return {
        "verdict": "at_baseline" if solved_at is None else "solved",
        "steps": 600 if solved_at is None else solved_at,
        "solved_at": solved_at,
        "parameters": 900,
        "state_size": 6,
        "data_digest": f"{task}{run.seed}",
        "baseline": {**BASELINE, "by_length": {"31": {"accuracy": 0.25}}},
        "versions": {"rnn_tasks": "0.1.0"},
        "metrics": {**metrics, "test/accuracy_by_length/20": 0.75, "test/accuracy_by_length/31": 0.5},
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the runs of a quick profile with two seeds, all done or failed."""

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        result = outcome(run)
        if isinstance(result, str):
            trial.set_user_attr(REASON, result)
            raise optuna.TrialPruned
        trial.set_user_attr(RESULT, result)
        return 1.0

    with closing(RunQueue(PLAN, f"sqlite:///{tmp_path_factory.mktemp('profile') / 'study.db'}")) as queue:
        while True:
            queue.enqueue_missing()
            if RunState.PENDING not in queue.states().values():
                return runs_in(queue)
            queue.do_next(do)


def known_rows(parameters: int = 800) -> pd.DataFrame:
    values = [("rnn", 0, 50), ("rnn", 1, 75), ("rnn", 2, 100), ("lstm", 0, None)]
    rows = [
        ("temporal_order", layer, "final", seed, "fast", 600, 600, at, parameters, 9, f"temporal_order{seed}", 0.5)
        for layer, seed, at in values
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def made_card(runs: pd.DataFrame, known: pd.DataFrame, untrained: Measures = UNMEASURED) -> Card:
    tasks, gaps = task_cards(PLAN, runs, known)
    cost = {"layer": Cost(30.0, 90.0, 2e6), "gru": Cost(20.0, 60.0, 1e6)}
    command = "rnn-tasks profile gru --quick"
    return Card(LAYER, PLAN, True, command, tasks, runs, cost, untrained, None, "", ["cost: none"], gaps)


def test_rows_show_settings_seeds_and_failures(runs: pd.DataFrame) -> None:
    order, parity, recall = task_cards(PLAN, runs, known_rows()[:0])[0]
    assert (order.task, order.budget, order.chance, order.solved) == ("temporal_order", 600, 0.25, 1)
    assert order.plateaus == [("knows only the latest mark", 0.5)]
    assert tried_text(order) == "slow 200, fast* 100, slow_core > 600"
    assert seeds_text(order) == "1 of 2: 100, > 600"
    assert own_cell(order) == ("1 of 2", "> 600")
    assert own_cell(parity) == ("0 of 2", "0.500")
    assert own_cell(recall) == ("0 of 2", "diverged")
    assert seeds_text(recall) == "0 of 2: diverged, diverged"
    assert recall.chance is None


def test_runs_that_are_not_done_are_no_results(tmp_path: Path) -> None:
    with closing(RunQueue(PLAN, f"sqlite:///{tmp_path / 'study.db'}")) as queue:
        cards, _ = task_cards(PLAN, runs_in(queue), known_rows()[:0])
    assert [own_cell(card) for card in cards] == [("pending", "")] * 3
    assert [card.chosen for card in cards] == [""] * 3


def test_known_layers_stand_beside_the_layer(runs: pd.DataFrame) -> None:
    (order, *_), gaps = task_cards(PLAN, runs, known_rows())
    assert [*order.known] == ["rnn", "lstm"]
    rnn, lstm = order.known["rnn"], order.known["lstm"]
    assert (rnn.runs, rnn.solved, rnn.steps) == (3, 3, 75)
    assert (lstm.solved, lstm.steps, lstm.score) == (0, float("inf"), 0.5)
    assert "temporal_order: the committed results have no qr_rnn, lru, deltanet" in gaps


@pytest.mark.parametrize(("parameters", "warns"), [(800, False), (90, True)])
def test_many_parameters_are_no_fair_comparison(runs: pd.DataFrame, parameters: int, warns: bool) -> None:
    warning = made_card(runs, known_rows(parameters)).warning
    assert ("900 parameters, 10.0 times as many as the largest known layer here (90)" in warning) == warns
    assert bool(warning) == warns


def test_card_is_one_page_with_numbers_and_picture(runs: pd.DataFrame, tmp_path: Path) -> None:
    missing: list[str] = []
    untrained = measure(LAYER.network, "untrained network", missing)
    assert missing == []
    page = write_card(made_card(runs, known_rows(), untrained), tmp_path / "card")
    html = page.read_text()
    assert "A gated &lt;b&gt;unit&lt;/b&gt;." in html
    assert "slow 200, fast* 100, slow_core &gt; 600" in html
    assert "recall-gru-seed0: the run diverged: the loss is nan at step 3" in html
    assert "trainer.gradient_clip_val 9" in html
    assert 'src="http' not in html
    assert (page.parent / "pictures" / "card.png").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((page.parent / "profile.json").read_text())
    assert (numbers["format"], numbers["name"], numbers["quick"], numbers["seeds"]) == (1, "gru", True, [0, 1])
    task = numbers["memory"]["tasks"][0]
    assert (task["task"], task["chosen"], task["solved"]) == ("temporal_order", "fast", 1)
    assert [run["solved_at"] for run in task["runs"]] == [100, None]
    assert numbers["known"]["rnn"]["tasks"]["temporal_order"]["solved_at"] == [50, 75, 100]
    assert numbers["lengths"]["parity"][1] == {
        "seed": 1,
        "lengths": [20, 31],
        "accuracy": [0.75, 0.5],
        "beyond_training": [False, True],
    }
    assert numbers["cost"]["layer"]["training_us"] == 90
    assert numbers["layer"]["state_size"] == 6
    assert numbers["dynamics"]["trained"] is None
    before = numbers["dynamics"]["untrained"]
    assert before["gradient_left"] == pytest.approx(before["gradient_norms"][100] / before["gradient_norms"][0])
    assert 0 < before["memory_capacity"] < 6


def test_card_without_known_layers_says_so(runs: pd.DataFrame, tmp_path: Path) -> None:
    card = made_card(runs, known_rows()[:0])
    html = write_card(card, tmp_path / "card").read_text()
    assert "the committed results of known layers are not in this installation" in html
    assert card.warning == ""


def test_diverged_network_has_no_measurement(tmp_path: Path) -> None:
    network = TaggerNetwork(partial(GRU, hidden_size=6), TemporalOrder().spec).eval()
    for weight in network.parameters():
        weight.data.fill_(float("nan"))
    missing: list[str] = []
    assert measure(network, "trained network", missing) == UNMEASURED
    assert len(missing) == 3
