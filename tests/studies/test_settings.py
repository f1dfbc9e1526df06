from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from rnn_tasks.studies.plan import Plan, PlannedRun, Range, Search, Variant
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.rows import FROM_SCRATCH, RESULT, SETTINGS
from rnn_tasks.studies.settings import differences, settings_of
from rnn_tasks.studies.table import run_names, runs_in

AXES = {"network": (Variant("rnn", ("models/rnn",)), Variant("qr", options={"data.delay": 2}))}
PLAN = Plan("small", "", ("echo",), {"data.batch_size": 4}, AXES, (0,), 4, None)


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def work(queue: RunQueue) -> list[str]:
    """Do all pending runs, and return their names."""
    done: list[str] = []

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        done.append(run.name)
        trial.set_user_attr(RESULT, {"steps": 4, "metrics": {"val/loss": 1.0}})
        return 1.0

    queue.enqueue_missing()
    while RunState.PENDING in queue.states().values():
        queue.do_next(do)
        queue.enqueue_missing()
    return done


def own_config(folder: Path, text: str) -> Plan:
    """Return the study with a further config whose contents are given."""
    path = folder / "own.yaml"
    path.write_text(text)
    return replace(PLAN, configs=("echo", str(path)))


CHANGES = {
    "budget": (replace(PLAN, max_steps=5), ["trainer.max_steps"], ["rnn-seed0", "qr-seed0"]),
    "option": (replace(PLAN, options={}), ["data.batch_size"], ["rnn-seed0", "qr-seed0"]),
    "config": (replace(PLAN, configs=("copy",)), ["configs", "the contents of copy"], ["rnn-seed0", "qr-seed0"]),
    "variant": (
        replace(PLAN, axes={"network": (AXES["network"][0], Variant("qr", options={"data.delay": 3}))}),
        ["data.delay"],
        ["qr-seed0"],
    ),
    "overlay": (
        replace(PLAN, axes={"network": (AXES["network"][0], replace(AXES["network"][1], overlay={"data": {"a": 1}}))}),
        ["data.a"],
        ["qr-seed0"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_run_with_changed_settings_is_done_again(name: str, tmp_path: Path) -> None:
    plan, settings, names = CHANGES[name]
    with closing(RunQueue(PLAN, url(tmp_path))) as queue:
        assert work(queue) == ["rnn-seed0", "qr-seed0"]
        assert queue.redo_changed() == {}
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        pending = runs_in(queue)[lambda runs: runs["state"] == "pending"]
        assert run_names(pending) == names
        assert all(pending["steps"].isna())
        assert all(setting in pending["reason"].iloc[0] for setting in settings)
        changed = queue.redo_changed()
        assert [*changed] == names
        assert {*settings} <= {*changed[names[0]]}
        assert work(queue) == names
        assert queue.redo_changed() == {}
        assert {trial.user_attrs[FROM_SCRATCH] for trial in queue.trials()} == {0, 1}
        assert set(queue.states().values()) == {RunState.DONE}


def test_edited_config_file_changes_a_run_but_comments_do_not(tmp_path: Path) -> None:
    (run, _) = PLAN.runs()
    old = settings_of(own_config(tmp_path, "data: {a: 1, b: 2}"), run)
    assert old == settings_of(own_config(tmp_path, "# a comment\ndata:\n  b: 2\n  a: 1\n"), run)
    new = settings_of(own_config(tmp_path, "data: {a: 1, b: 3}"), run)
    assert differences(old, new) == [f"the contents of {tmp_path / 'own.yaml'}"]


def test_file_of_an_overlay_for_the_task_counts() -> None:
    (run, _) = PLAN.runs()
    contents = [name for name in settings_of(PLAN, run) if name.startswith("the contents of")]
    assert contents == ["the contents of echo", "the contents of models/rnn"]  # it has no file for echo
    plan = replace(PLAN, configs=("copy",), axes={"network": (Variant("gru", ("models/gru",)),)})
    assert "the contents of models/gru/copy" in settings_of(plan, plan.runs()[0])


def test_runs_without_known_settings_stay_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnn_tasks.studies.queue.settings_of", lambda plan, run: "unknown")
    with closing(RunQueue(PLAN, url(tmp_path))) as queue:  # the runs then have none, as those of version 0.1.0
        assert work(queue) == ["rnn-seed0", "qr-seed0"]
    monkeypatch.undo()
    with closing(RunQueue(replace(PLAN, max_steps=5), url(tmp_path))) as queue:
        assert queue.redo_changed() == {}
        assert work(queue) == []


def test_changed_run_of_a_search_keeps_its_values(tmp_path: Path) -> None:
    ranges = {"rate": Range("model.optimizer.lr", 0.001, 0.1, log=True)}
    plan = replace(PLAN, axes={"rate": ()}, ranges=ranges, search=Search("random", 2, "loss"))
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        assert work(queue) == ["run0001", "run0002"]
        drawn = [trial.params for trial in queue.trials() if trial.params]
    with closing(RunQueue(replace(plan, max_steps=5), url(tmp_path))) as queue:
        assert queue.redo_changed() == {name: ["trainer.max_steps"] for name in ("run0001", "run0002")}
        assert work(queue) == ["run0001", "run0002"]
        assert [trial.params for trial in queue.trials() if trial.params] == 2 * drawn


def test_interrupted_run_with_changed_settings_begins_anew(tmp_path: Path) -> None:
    def interrupted(trial: optuna.Trial, run: PlannedRun) -> float:
        raise KeyboardInterrupt

    with closing(RunQueue(PLAN, url(tmp_path))) as queue:
        queue.enqueue_missing()
        with pytest.raises(KeyboardInterrupt):
            queue.do_next(interrupted)
        assert queue.trials()[0].user_attrs[SETTINGS]["trainer.max_steps"] == "4"
    with closing(RunQueue(replace(PLAN, max_steps=5), url(tmp_path))) as queue:
        assert [*queue.redo_changed()] == ["rnn-seed0"]
        assert work(queue) == ["qr-seed0", "rnn-seed0"]
        assert [t.user_attrs[FROM_SCRATCH] for t in queue.trials() if t.user_attrs.get("result")] == [0, 1]


def test_edited_module_of_the_working_folder_is_a_changed_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = own_config(Path(), "model: {init_args: {core: {init_args: {layer: my_layer.MyLayer}}}}")
    (run, *_) = plan.runs()
    assert differences(settings_of(PLAN, run), settings_of(plan, run)) == ["configs", "the contents of own.yaml"]
    Path("my_layer.py").write_text("class MyLayer: ...")
    before = settings_of(plan, run)
    assert differences(before, settings_of(plan, run)) == []
    Path("my_layer.py").write_text("class MyLayer: size = 2")
    assert differences(before, settings_of(plan, run)) == ["the source of my_layer"]
