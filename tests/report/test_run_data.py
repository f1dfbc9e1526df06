import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from rnn_tasks.analysis.snapshots import SNAPSHOTS, read_snapshots
from rnn_tasks.errors import UsageError
from rnn_tasks.models.loading import load_model
from rnn_tasks.report.run_data import (
    MAX_SEQUENCES,
    TEXT_LENGTH,
    TEXT_ROWS,
    attempt,
    build_task,
    evaluation_batch,
    load_runs,
    run_labels,
    short_core,
)
from rnn_tasks.runs.curves import CURVES
from rnn_tasks.runs.files import CONFIG
from rnn_tasks.runs.find import RunLocation, find_run, read_config
from rnn_tasks.tasks import Copy, Echo, Text, VariableDelayEcho
from tests.helpers.command_line import RnnTasks, small


@pytest.fixture
def echo(trained_logs: Path) -> RunLocation:
    return RunLocation(trained_logs / "echo" / "version_0")


def copied(place: RunLocation, folder: Path) -> Path:
    shutil.copytree(place.folder, folder / "echo" / "version_7")
    return folder / "echo" / "version_7"


def test_load_runs_restores_network_task_and_logs(echo: RunLocation) -> None:
    (run,) = load_runs([echo])
    assert (run.label, run.core) == ("echo/version_0", "Elman")
    trained = load_model(echo).network
    for name, weight in trained.state_dict().items():
        assert torch.equal(run.network.state_dict()[name], weight)
    assert any(
        not torch.equal(weight, run.untrained.state_dict()[name]) for name, weight in trained.state_dict().items()
    )
    assert isinstance(run.task, Echo)
    assert run.task.seed == 0
    assert run.batch is not None
    assert torch.equal(run.batch.inputs, next(iter(run.task.predict_dataloader())).inputs)
    assert run.curves["train/loss"].steps.tolist() == [1, 3]  # Lightning counts logged steps from 0
    assert run.summary["verdict"] in ("at_baseline", "learning")
    assert [line.partition(":")[0] for line in run.missing] == ["snapshots during training"]
    assert run.characters([0, 1, 26]) == [" ", "a", "z"]


def test_untrained_network_depends_only_on_the_seed(echo: RunLocation) -> None:
    before = torch.random.get_rng_state()
    (one,), (two,) = load_runs([echo]), load_runs([echo])
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, weight in one.untrained.state_dict().items():
        assert torch.equal(weight, two.untrained.state_dict()[name])


def test_run_labels_name_layer_and_constraint_or_start(trained_logs: Path) -> None:
    places = [RunLocation(trained_logs / task / "version_0") for task in ("echo", "variable_delay_echo")]
    assert run_labels(places) == ["A: Elman, Orthogonal start", "B: Elman, Orthogonal start"]
    section = {"init_args": {"core": {"class_path": "rnn_tasks.cores.Elman", "init_args": {}}}}
    assert short_core({"model": section, "constraint": {"class_path": "a.Reorthogonalize"}}) == "Elman, Reorthogonalize"
    foreign = {"class_path": "Foreign", "init_args": {"layer": "my.MyLayer", "freeze_recurrent": True}}
    assert short_core({"model": {"init_args": {"core": foreign}}}) == "MyLayer, frozen"
    blocks = {"class_path": "a.Blocks", "init_args": {"depth": 3, "core": {"class_path": "a.LRU"}}}
    assert short_core({"model": {"init_args": {"core": blocks}}}) == "3 blocks of LRU"
    with pytest.raises(UsageError, match=r"runs of one task, not of .*Echo.*VariableDelayEcho"):
        load_runs(places)


def test_load_runs_lists_missing_parts(echo: RunLocation, tmp_path: Path) -> None:
    folder = copied(echo, tmp_path)
    (folder / "summary.json").unlink()
    for logged in (folder / CURVES, *folder.glob("events*")):
        logged.unlink()
    config = read_config(folder)
    config["data"]["init_args"]["delay"] = -1
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    (run,) = load_runs([RunLocation(folder)])
    assert (run.task, run.batch, run.summary, run.curves) == (None, None, {}, {})
    lines = "\n".join(run.missing)
    assert "resume the run" in lines
    assert "delay must be" in lines


def test_load_runs_rejects_damaged_or_hostile_snapshots(echo: RunLocation, tmp_path: Path) -> None:
    folder = copied(echo, tmp_path)
    (folder / SNAPSHOTS).write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UsageError, match=r"snapshots\.pt"):
        load_runs([RunLocation(folder)])

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "executed"),)

    torch.save({"format": Hostile()}, folder / SNAPSHOTS)
    with pytest.raises(UsageError, match=r"snapshots\.pt"):
        load_runs([RunLocation(folder)])
    assert not (tmp_path / "executed").exists()


def test_load_runs_reads_snapshots(rnn_tasks: RnnTasks) -> None:
    assert rnn_tasks("fit", "--config", "echo", "--config", "watch", *small("echo")).status == 0
    (run,) = load_runs([find_run("echo")])
    assert run.snapshots is not None
    assert torch.equal(run.snapshots.states, read_snapshots(run.folder / SNAPSHOTS).states)
    assert run.missing == []


def test_evaluation_batch_has_the_first_test_sequences() -> None:
    task = Copy(test_sequences=700, eval_batch_size=300)
    batch = evaluation_batch(task)
    assert len(batch.inputs) == MAX_SEQUENCES
    assert torch.equal(batch.inputs[:300], next(iter(task.predict_dataloader())).inputs)
    assert batch.memory is not None
    long = evaluation_batch(Copy(layout="arjovsky", delay=5000, test_sequences=40, eval_batch_size=5))
    assert len(long.inputs) == 16  # fewer than MAX_STEPS steps in all


def test_evaluation_batch_has_each_string_once() -> None:
    task = VariableDelayEcho(max_delay=2, sequence_length=6, test_sequences=90, every_delay=True)
    batch = evaluation_batch(task)
    assert len(batch.inputs) == len({tuple(letters) for letters in batch.inputs.tolist()}) == 30
    assert batch.condition is not None
    assert batch.condition.tolist() == [0, 1, 2] * 10
    few = evaluation_batch(VariableDelayEcho(max_delay=2, sequence_length=6, test_sequences=45, every_delay=True))
    assert len(few.inputs) == 45  # 15 strings are below MIN_SEQUENCES


def test_evaluation_batch_has_consecutive_pieces_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("abcdefghijklmnopqrstuvwxy" * 6000)
    task = Text(str(path), batch_size=2)
    batch = evaluation_batch(task)
    assert batch.inputs.shape == (TEXT_ROWS, TEXT_LENGTH)
    assert torch.equal(batch.inputs.flatten()[1:], batch.targets.flatten()[:-1])
    assert torch.equal(batch.inputs.flatten(), task.symbols("test")[: TEXT_ROWS * TEXT_LENGTH])


def test_build_task_uses_the_seed_of_the_run() -> None:
    config = {"data": {"class_path": "Echo", "init_args": {"delay": 2}}, "seed_everything": 5}
    task = build_task(config, Echo(delay=2).spec)
    assert isinstance(task, Echo)
    assert (task.delay, task.seed) == (2, 5)
    with pytest.raises(UsageError, match="section data"):
        build_task({"data": {"class_path": "Echoes"}}, Echo().spec)
    with pytest.raises(UsageError, match="the task differs from that of the training"):
        build_task(config, Echo(delay=3).spec)


def test_attempt_appends_a_line_when_a_function_fails() -> None:
    missing: list[str] = []

    def fail() -> int:
        raise RuntimeError("no\n  such thing")

    assert attempt(missing, "gates", lambda: 3) == 3
    assert attempt(missing, "gates", fail) is None
    assert missing == ["gates: this layer does not support it (no: such thing)"]


def test_load_runs_uses_the_seed_that_lightning_chose(echo: RunLocation, tmp_path: Path) -> None:
    folder = copied(echo, tmp_path)
    config = yaml.safe_load((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(yaml.safe_dump({**config, "seed_everything": True}))
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "seed": 5}))
    (run,) = load_runs([RunLocation(folder)])
    assert isinstance(run.task, Echo)
    assert run.task.seed == 5
    (folder / CONFIG).write_text(yaml.safe_dump({**config, "seed_everything": 2**70}))
    with pytest.raises(UsageError, match="seed_everything is not a number"):
        load_runs([RunLocation(folder)])
