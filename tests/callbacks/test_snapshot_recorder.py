import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import Snapshots, read_snapshots, write_snapshots
from rnn_tasks.callbacks import ExactResume, Reorthogonalize, SnapshotRecorder, StopOnSignal
from rnn_tasks.callbacks.snapshot_recorder import is_due
from rnn_tasks.cores import Elman
from rnn_tasks.errors import InterruptedRunError, UsageError
from rnn_tasks.tasks import Text
from rnn_tasks.texts.grammar import ELMAN
from tests.helpers.monitored_runs import CORES, GATED, UNSUPPORTED, echo, grammar, model_for, task_layer_pairs, trainer

EVERY_STEP: dict[str, Any] = {"dense_steps": 1000, "dense_every": 1, "sample_length": 3}


def recorded(folder: Path) -> Snapshots:
    return read_snapshots(folder / "run/version_0/snapshots.pt")


def assert_same(one: Snapshots, other: Snapshots) -> None:
    for name, value in vars(one).items():
        if isinstance(value, torch.Tensor | dict):
            torch.testing.assert_close(vars(other)[name], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert vars(other)[name] == value, name


class ReferenceRecorder(Callback):
    """Keeps weights and gradient norms with torch only."""

    def __init__(self) -> None:
        self.weights: dict[int, dict[str, torch.Tensor]] = {}
        self.norms: dict[int, dict[str, float]] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self.norms[trainer.global_step + 1] = {
            name: 0.0 if parameter.grad is None else float(parameter.grad.square().sum().sqrt())
            for name, parameter in pl_module.network.named_parameters()  # type: ignore[union-attr]
        }

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.weights[trainer.global_step] = {
            name: weight.detach().clone()
            for name, weight in pl_module.network.named_parameters()  # type: ignore[union-attr]
        }


@pytest.mark.parametrize(
    ("settings", "steps", "expected"),
    [
        ({"dense_steps": 4, "dense_every": 2, "every": 3}, 11, [0, 2, 4, 6, 9, 11]),
        ({"dense_steps": 0, "every": 5}, 10, [0, 5, 10]),
        ({}, 11, [0, 10, 11]),
    ],
)
def test_snapshots_are_frequent_then_rare_and_at_the_end(
    tmp_path: Path, settings: dict[str, int], steps: int, expected: list[int]
) -> None:
    trainer(SnapshotRecorder(**settings), folder=tmp_path, max_steps=steps).fit(model_for(echo()), echo())
    assert recorded(tmp_path).steps.tolist() == expected


def test_steps_count_optimizer_steps_when_accumulating(tmp_path: Path) -> None:
    options: dict[str, Any] = {"accumulate_grad_batches": 3, "max_steps": 4, "val_check_interval": 1}
    reference = ReferenceRecorder()
    trainer(SnapshotRecorder(**EVERY_STEP), reference, folder=tmp_path, **options).fit(model_for(echo()), echo())
    result = recorded(tmp_path)
    assert result.steps.tolist() == [0, 1, 2, 3, 4]
    for index, step in enumerate(result.steps.tolist()[1:], 1):
        assert torch.equal(result.weights["readout.weight"][index], reference.weights[step]["readout.weight"])


@pytest.mark.parametrize(("make", "core"), task_layer_pairs(CORES))
def test_snapshot_has_weights_after_step_and_unclipped_gradient(tmp_path: Path, make: Any, core: str) -> None:
    task, reference = make(), ReferenceRecorder()
    model = model_for(task, CORES[core])
    run = trainer(SnapshotRecorder(**EVERY_STEP), reference, folder=tmp_path, max_steps=2, gradient_clip_val=0.01)
    run.fit(model, task)
    result = recorded(tmp_path)
    for step in (1, 2):
        for name, norm in reference.norms[step].items():
            assert result.gradient_norms[name][step] == pytest.approx(norm, rel=1e-4)
            if name in result.weights:
                assert torch.equal(result.weights[name][step], reference.weights[step][name])
    assert all(norms[0].isnan() for norms in result.gradient_norms.values())
    sequence = next(iter(task.val_dataloader())).rows(0, 1)
    torch.testing.assert_close(result.states[-1:], hidden_states(model.network, sequence))
    assert torch.equal(result.inputs, sequence.inputs[0])
    if make is grammar:
        assert result.samples[-1] == model.generate("the boy", 3)  # type: ignore[operator]


def test_weights_are_recorded_after_projection_in_any_order(tmp_path: Path) -> None:
    for order in (1, -1):
        callbacks = [SnapshotRecorder(**EVERY_STEP), Reorthogonalize()][::order]
        trainer(*callbacks, folder=tmp_path / str(order), max_steps=2).fit(model_for(echo()), echo())
        weight = recorded(tmp_path / str(order)).weights["core.weight_hh_l0"]
        assert (weight @ weight.mT - torch.eye(7)).abs().max() < 1e-5


def test_last_snapshot_has_gradient_norms(tmp_path: Path) -> None:
    trainer(SnapshotRecorder(every=100), folder=tmp_path, max_steps=3).fit(model_for(echo()), echo())
    assert recorded(tmp_path).gradient_norms["readout.bias"][-1].isfinite()


# --- resuming ---------------------------------------------------------------------------------------------------------


class StopAt(Callback):
    """Raises an error after a step, and saves a checkpoint after a step."""

    def __init__(self, step: int, error: BaseException, save_at: int | None = None) -> None:
        self.step, self.error, self.save_at = step, error, save_at

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.save_at == trainer.global_step:
            trainer.save_checkpoint(Path(str(trainer.log_dir)) / "last.ckpt")
        if trainer.global_step == self.step:
            raise self.error


def fit(
    folder: Path, *callbacks: Callback, steps: int, resumed: bool = False, make: Any = echo, **settings: Any
) -> None:
    recorder = SnapshotRecorder(**{**EVERY_STEP, **settings})
    options: dict[str, Any] = {"val_check_interval": 50, "log_every_n_steps": 10}
    run = trainer(ExactResume(), recorder, *callbacks, folder=folder, max_steps=steps, **options)
    checkpoint = str(folder / "run/version_0/last.ckpt") if resumed else None
    task = make()
    run.fit(model_for(task), task, ckpt_path=checkpoint)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    """Snapshots of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    fit(folder, steps=27, make=grammar)
    return recorded(folder)


class Killed(BaseException):
    """Stands for SIGKILL, after which no callback can write anything."""


@pytest.mark.parametrize(("save_at", "killed_at"), [(17, 17), (3, 24)])
def test_a_killed_run_resumes_without_gaps_or_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Snapshots, save_at: int, killed_at: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SnapshotRecorder, "on_exception", lambda *_: None)
        with pytest.raises(Killed):
            fit(tmp_path, StopAt(killed_at, Killed(), save_at), steps=27, make=grammar)
    steps = recorded(tmp_path).steps.tolist()
    assert steps == list(range(len(steps)))
    assert len(steps) >= 0.85 * killed_at
    fit(tmp_path, steps=27, resumed=True, make=grammar)
    assert recorded(tmp_path).steps.tolist() == list(range(28))
    assert_same(recorded(tmp_path), uninterrupted)


def test_snapshots_after_the_checkpoint_are_recorded_again(tmp_path: Path) -> None:
    class Freeze(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = 0.0

    fit(tmp_path, StopAt(-1, Killed(), save_at=3), steps=8)
    fit(tmp_path, Freeze(), steps=8, resumed=True)
    result = recorded(tmp_path)
    assert result.steps.tolist() == list(range(9))
    bias = result.weights["readout.bias"]
    assert not torch.equal(bias[2], bias[3])
    assert torch.equal(bias[3:], bias[3].expand(6, -1))


def test_unwritten_snapshots_are_in_the_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, StopAt(-1, Killed(), save_at=17), steps=18)
    states = torch.load(tmp_path / "run/version_0/last.ckpt", weights_only=True)["callbacks"]
    (waiting,) = [state["waiting"] for name, state in states.items() if name.startswith("SnapshotRecorder")]
    assert 0 < len(waiting) <= 3
    assert waiting[-1]["steps"].tolist() == [17]


def test_a_signal_after_a_step_keeps_the_snapshot_of_the_step(tmp_path: Path) -> None:
    # The callback that raises runs before the recorder, whose hook is not called.
    recorder = SnapshotRecorder(**EVERY_STEP)
    stop = StopAt(11, InterruptedRunError(15))
    with pytest.raises(InterruptedRunError):
        trainer(stop, recorder, folder=tmp_path, max_steps=20).fit(model_for(echo()), echo())
    result = recorded(tmp_path)
    assert result.steps.tolist() == list(range(12))
    assert result.gradient_norms["readout.bias"][-1].isfinite()


def test_an_error_keeps_all_recorded_snapshots(tmp_path: Path) -> None:
    stop = StopAt(11, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        trainer(SnapshotRecorder(**EVERY_STEP), stop, folder=tmp_path, max_steps=20).fit(model_for(echo()), echo())
    assert recorded(tmp_path).steps.tolist() == list(range(12))


def test_a_new_run_in_the_same_folder_replaces_the_file(tmp_path: Path) -> None:
    fit(tmp_path, steps=5)
    fit(tmp_path, steps=2)
    assert recorded(tmp_path).steps.tolist() == [0, 1, 2]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path, StopAt(-1, Killed(), save_at=4), steps=4)
    old = recorded(tmp_path)

    def raise_disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raise_disk_full)
        with pytest.raises(OSError, match="No space left"):
            fit(tmp_path, steps=9, resumed=True)
    assert_same(recorded(tmp_path), old)
    assert [path.name for path in (tmp_path / "run/version_0").glob("*snapshots*")] == ["snapshots.pt"]
    fit(tmp_path, steps=9, resumed=True)
    assert recorded(tmp_path).steps.tolist() == list(range(10))


def test_a_resumed_run_raises_for_a_damaged_file(tmp_path: Path) -> None:
    fit(tmp_path, StopAt(-1, Killed(), save_at=4), steps=4)
    path = tmp_path / "run/version_0/snapshots.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"damaged.*; move it away") as caught:
        fit(tmp_path, steps=9, resumed=True)
    assert "\n" not in str(caught.value)
    assert path.stat().st_size == 1000
    path.unlink()
    fit(tmp_path, steps=6, resumed=True)
    assert recorded(tmp_path).steps.tolist() == [4, 5, 6]


def test_a_resumed_run_raises_for_a_file_of_another_network(tmp_path: Path) -> None:
    fit(tmp_path, StopAt(-1, Killed(), save_at=17), steps=17)  # the checkpoint holds some snapshots
    path = tmp_path / "run/version_0/snapshots.pt"
    other = tmp_path / "other"
    run = trainer(SnapshotRecorder(**EVERY_STEP), folder=other, max_steps=1)
    run.fit(model_for(echo(), partial(Elman, hidden_size=3)), echo())
    path.write_bytes((other / "run/version_0/snapshots.pt").read_bytes())
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"cannot add snapshots to .*different networks"):
        fit(tmp_path, steps=19, resumed=True)
    assert path.read_bytes() == before


# --- size -------------------------------------------------------------------------------------------------------------


def test_a_large_file_is_thinned(tmp_path: Path) -> None:
    fit(tmp_path, steps=41, max_snapshots=12, dense_steps=8, dense_every=1, every=2)
    result = recorded(tmp_path)
    assert len(result) <= 12
    assert result.thinning == 4
    assert result.steps.tolist() == [0, 4, 8, 16, 24, 32, 40, 41]


def test_file_size_is_limited_and_few_bytes_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def write_and_record(path: Path, snapshots: Snapshots) -> None:
        write_snapshots(path, snapshots)
        sizes.append(snapshots.nbytes)

    monkeypatch.setattr("rnn_tasks.callbacks.snapshot_recorder.write_snapshots", write_and_record)
    fit(tmp_path, steps=40)
    one = recorded(tmp_path).nbytes / 41
    assert sum(sizes) < 8 * 41 * one  # writing after each step would need 21 * 41
    sizes.clear()
    fit(tmp_path, steps=40, max_megabytes=20.5 * one / 1e6)
    assert max(sizes) <= 20.5 * one
    result = recorded(tmp_path)
    assert 10 <= len(result) <= 20
    assert result.steps[[0, -1]].tolist() == [0, 40]


def test_at_least_two_snapshots_are_kept(tmp_path: Path) -> None:
    fit(tmp_path, steps=9, max_megabytes=1e-6)
    assert recorded(tmp_path).steps.tolist() == [0, 9]


def test_thinning_continues_after_a_resume(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_snapshots": 10}
    fit(tmp_path / "uninterrupted", steps=30, **settings)
    fit(tmp_path / "resumed", StopAt(-1, Killed(), save_at=16), steps=16, **settings)
    fit(tmp_path / "resumed", steps=30, resumed=True, **settings)
    assert_same(recorded(tmp_path / "resumed"), recorded(tmp_path / "uninterrupted"))


def test_a_recording_may_start_in_the_middle_of_a_run(tmp_path: Path) -> None:
    fit(tmp_path, StopAt(-1, Killed(), save_at=5), steps=5)
    (tmp_path / "run/version_0/snapshots.pt").unlink()
    fit(tmp_path, steps=9, resumed=True, max_snapshots=2, dense_steps=0, every=7)
    assert recorded(tmp_path).steps.tolist() == [7, 9]
    fit(tmp_path, steps=9, resumed=True, max_snapshots=2)
    assert recorded(tmp_path).steps.tolist() == [8, 9]


def test_is_due_is_frequent_first_and_rare_later() -> None:
    steps = [step for step in range(1001) if is_due(step, 200, 10, 100)]
    assert steps == [*range(0, 201, 10), *range(300, 1001, 100)]


# --- unavailable quantities and bad options ---------------------------------------------------------------------------


def test_unavailable_quantities_are_printed_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(SnapshotRecorder(), folder=tmp_path, max_steps=1).fit(model_for(echo(), UNSUPPORTED), echo())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("SnapshotRecorder")]
    assert lines == [
        "SnapshotRecorder: not available for UnsupportedLayer: eigenvalues (no recurrent matrix or diagonal is "
        "known), gradient by time step (the state is not made of tensors or too large)"
    ]
    result = recorded(tmp_path)
    assert result.eigenvalues == {}
    assert result.gradient_by_time_step is None


def test_nothing_is_printed_when_all_quantities_are_available(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(SnapshotRecorder(), folder=tmp_path, max_steps=1).fit(model_for(echo(), GATED), echo())
    assert "SnapshotRecorder" not in capsys.readouterr().out


def test_snapshot_recorder_raises_without_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the trainer a RunLogger"):
        trainer(SnapshotRecorder()).fit(model_for(echo()), echo())
    run = trainer(SnapshotRecorder(), folder=tmp_path, fast_dev_run=True, val_check_interval=1)
    run.fit(model_for(echo()), echo())
    assert not list(tmp_path.rglob("snapshots.pt"))


@pytest.mark.parametrize("name", ["dense_steps", "dense_every", "every", "max_snapshots", "sample_length"])
def test_snapshot_recorder_raises_for_values_outside_bounds(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least"):
        SnapshotRecorder(**{name: -1})
    with pytest.raises(UsageError, match="max_megabytes must be above 0"):
        SnapshotRecorder(max_megabytes=0)


# --- the projector ----------------------------------------------------------------------------------------------------


def labels(folder: Path) -> list[list[str]]:
    (path,) = (folder / "run/version_0").rglob("metadata.tsv")
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_projector_shows_words_with_categories(tmp_path: Path) -> None:
    task = grammar()
    trainer(SnapshotRecorder(), folder=tmp_path, max_steps=1).fit(model_for(task), task)
    header, *rows = labels(tmp_path)
    assert header == ["word", "category", "count"]
    text = task.text("val").split()
    assert {word for word, _, _ in rows} <= set(text)
    assert len(rows) > 8
    for word, category, count in rows:
        assert category == ELMAN.word_categories[word]
        assert int(count) <= text.count(word)


def test_projector_shows_symbols_when_the_task_is_no_text(tmp_path: Path) -> None:
    trainer(SnapshotRecorder(), folder=tmp_path, max_steps=1).fit(model_for(echo()), echo())
    header, *rows = labels(tmp_path)
    assert header == ["input", "target", "time step", "sequence"]
    assert len(rows) == 8 * 6
    assert {row[0] for row in rows} <= {"a", "b", "c", "␣"}


def test_projector_shows_symbols_when_text_has_no_white_space(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("abcacb" * 60)
    task = Text(str(file), cleaning="none", batch_size=3, sequence_length=8, prefix="a")
    trainer(SnapshotRecorder(sample_length=2), folder=tmp_path, max_steps=1).fit(model_for(task), task)
    header, *rows = labels(tmp_path)
    assert header[0] == "input"
    assert {row[0] for row in rows} == {"a", "b", "c"}


def test_a_signal_is_recorded_when_the_recorder_comes_last(tmp_path: Path) -> None:
    """The shipped configs have this order: ``callbacks+`` appends the recorder after StopOnSignal."""

    class SetSignal(Callback):
        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
            if trainer.global_step == 4:
                stop.received = 15

    stop = StopOnSignal()
    options: Any = {"folder": tmp_path, "max_steps": 9, "enable_checkpointing": True}
    run = trainer(stop, SnapshotRecorder(**EVERY_STEP), SetSignal(), **options)
    with pytest.raises(InterruptedRunError):
        run.fit(model_for(echo()), echo())
    assert recorded(tmp_path).steps.tolist() == [0, 1, 2, 3, 4, 5]
    resumed = trainer(StopOnSignal(), SnapshotRecorder(**EVERY_STEP), **options)
    resumed.fit(model_for(echo()), echo(), ckpt_path=str(tmp_path / "run/version_0/checkpoints/last.ckpt"))
    assert recorded(tmp_path).steps.tolist() == list(range(10))
