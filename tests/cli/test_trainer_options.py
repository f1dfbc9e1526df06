"""A table of all options of the trainer: each one works, or is refused with one line."""

import inspect
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from rnn_tasks.runs.curves import read_curves
from tests.helpers.command_line import CommandResult, RnnTasks
from tests.helpers.option_runs import (
    EPOCHS,
    OptionRun,
    RefusedRun,
    arguments,
    fit_resume_and_respond,
    is_refused,
    summary,
)
from tests.helpers.processes import finish, start
from tests.helpers.rotation import rotating


class PrintMessages(logging.Handler):
    """Prints the messages of Lightning, whose own handler writes to the stream that was open when it was imported."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage())


@pytest.fixture(autouse=True)
def printed_messages() -> Iterator[None]:
    handler, logger = PrintMessages(), logging.getLogger("lightning.pytorch")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def settings_of_torch() -> Iterator[None]:
    """Restore what options of the trainer set for the whole process, and for the processes that it starts."""
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(False)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def prints_no_progress_but_the_layers(folder: Path, fitted: CommandResult) -> None:
    assert "steps/s" not in fitted.out
    assert "Trainable params" in fitted.out + fitted.err


def validates_twice_in_each_epoch(folder: Path, fitted: CommandResult) -> None:
    steps = read_curves(folder)["val/loss"].steps + 1  # steps are counted from 0
    assert [step for step in steps.tolist() if step > 0] == [2, 4, 6, 8, 10, 12]


def trains_two_epochs_of_two_batches(folder: Path, fitted: CommandResult) -> None:
    assert (summary(folder)["steps"], summary(folder)["stopped"]) == (4, "epochs")


def repeats_one_batch(folder: Path, fitted: CommandResult) -> None:
    losses = read_curves(folder)["train/loss"].values
    assert len(losses) == 4
    assert losses.min() == losses.max()


def takes_two_batches_in_each_step(folder: Path, fitted: CommandResult) -> None:
    assert summary(folder)["sequences"] == 2 * summary(folder)["steps"] * 4


def logs_no_training_step(folder: Path, fitted: CommandResult) -> None:
    names = read_curves(folder).keys()
    assert "val/loss" in names
    assert not any(name.startswith("train/") for name in names)


def has_no_checkpoint(folder: Path, fitted: CommandResult) -> None:
    assert not list(Path().glob("**/*.ckpt"))


def has_weights_of_64_bits(folder: Path, fitted: CommandResult) -> None:
    weights = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(weight.dtype == torch.double for weight in weights.values())


def writes_only_below(folder: Path, fitted: CommandResult) -> None:
    assert sorted(path.name for path in Path().iterdir()) == ["callbacks.yaml", "mine"]


def prints_a_profile(folder: Path, fitted: CommandResult) -> None:
    assert "run_training_batch" in fitted.out


def prints_the_progress_of_a_default_run(folder: Path, fitted: CommandResult) -> None:
    assert "steps/s" in fitted.out
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


HARMLESS = {
    "trainer.accelerator": "cpu",
    "trainer.detect_anomaly": True,
    "trainer.deterministic": "warn",
    "trainer.devices": 1,
    "trainer.enable_autolog_hparams": False,
    "trainer.enable_model_summary": True,
    "trainer.enable_progress_bar": False,
    "trainer.gradient_clip_algorithm": "value",
    "trainer.gradient_clip_val": 0.5,
    "trainer.inference_mode": False,
    "trainer.limit_test_batches": 1,
    "trainer.limit_val_batches": 1,
    "trainer.max_time": "00:01:00:00",
    "trainer.min_steps": 2,
    "trainer.model_registry": "models",
    "trainer.num_nodes": 1,
    "trainer.num_sanity_val_steps": 1,
    "trainer.strategy": "auto",
    "trainer.sync_batchnorm": True,
    "trainer.use_distributed_sampler": False,
}
"""Options that do not affect one another."""

RUNS = {
    "harmless": OptionRun(HARMLESS, check=prints_no_progress_but_the_layers),
    "fractions": OptionRun(
        {**EPOCHS, "trainer.val_check_interval": 0.5, "trainer.min_epochs": 1},
        check=validates_twice_in_each_epoch,
        continued={"trainer.max_epochs": 4},
    ),
    "every second epoch": OptionRun(
        {**EPOCHS, "trainer.check_val_every_n_epoch": 2, "trainer.reload_dataloaders_every_n_epochs": 1},
        continued={"trainer.max_epochs": 4},
    ),
    "duration": OptionRun({"trainer.val_check_interval": "00:00:00:10"}),
    "limit": OptionRun(
        {"trainer.limit_train_batches": 2, "trainer.max_epochs": 2, "trainer.max_steps": -1, "model.schedule": None},
        check=trains_two_epochs_of_two_batches,
        continued={"trainer.max_epochs": 3},
    ),
    "overfit": OptionRun(
        {"trainer.overfit_batches": 1, "model.optimizer.lr": 0.0, "trainer.log_every_n_steps": 1},
        check=repeats_one_batch,
    ),
    "accumulate": OptionRun(
        {"trainer.accumulate_grad_batches": 2, "trainer.benchmark": True}, check=takes_two_batches_in_each_step
    ),
    "no logged steps": OptionRun({"trainer.log_every_n_steps": 0}, check=logs_no_training_step),
    "no checkpoints": OptionRun(
        {"trainer.enable_checkpointing": False, "trainer.plugins": None}, check=has_no_checkpoint, responds=False
    ),
    "no logger": OptionRun(
        {"trainer.logger": False, "trainer.default_root_dir": "mine"},
        check=writes_only_below,
        folder="mine/echo/version_0",
    ),
    "no callbacks": OptionRun({"trainer.callbacks": None}, check=prints_the_progress_of_a_default_run),
    "64 bits": OptionRun({"trainer.precision": "64-true"}, check=has_weights_of_64_bits),
    "profiler": OptionRun({"trainer.profiler": "simple"}, check=prints_a_profile),
}

SLOW_RUNS = {
    **{
        f"precision {precision}": OptionRun({"trainer.precision": precision})
        for precision in ("16-mixed", "bf16-mixed", "bf16-true", "32-true")
    },
    **{f"profiler {name}": OptionRun({"trainer.profiler": name}) for name in ("advanced", "pytorch")},
    "deterministic": OptionRun({"trainer.deterministic": True}),
    "one process of ddp": OptionRun({"trainer.strategy": "ddp"}),
    "clip by norm": OptionRun({"trainer.gradient_clip_algorithm": "norm", "trainer.gradient_clip_val": 0.1}),
    "no validation": OptionRun({"trainer.limit_val_batches": 0}),
}

REFUSED = {
    "barebones": RefusedRun(
        "trainer.barebones cannot be used, because a run could save neither its state nor its result: switch off "
        "single parts, for instance with --trainer.enable_progress_bar false",
        {"trainer.barebones": True},
    )
}

TESTED_ALONE = {"fast_dev_run", "limit_predict_batches"}
"""Options without a run folder; they have a test of their own."""


def trainer_options(runs: Iterable[OptionRun | RefusedRun]) -> set[str]:
    """Return the names of the trainer's options in some runs."""
    return {name.removeprefix("trainer.") for run in runs for name in run.options if name.startswith("trainer.")}


def test_table_lists_every_option_of_the_trainer() -> None:
    """If this test fails after an update of Lightning, decide what the new option does, and add a run with it."""
    options = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert trainer_options([*RUNS.values(), *REFUSED.values()]) | TESTED_ALONE == options


def test_few_options_are_refused() -> None:
    assert len(trainer_options(REFUSED.values())) <= 4


@pytest.mark.parametrize("name", [*rotating(RUNS), *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_RUNS)])
@pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than the logging interval")
@pytest.mark.filterwarnings("ignore:You passed `Trainer.*AMP with fp16 is not supported on CPU")
@pytest.mark.filterwarnings("ignore:The PyTorch Profiler default schedule will be overridden")
def test_run_with_options_ends_well(rnn_tasks: RnnTasks, name: str) -> None:
    fit_resume_and_respond(rnn_tasks, {**RUNS, **SLOW_RUNS}[name])


@pytest.mark.parametrize("name", REFUSED)
def test_option_is_refused_with_one_line(rnn_tasks: RnnTasks, name: str) -> None:
    is_refused(rnn_tasks, REFUSED[name])


@pytest.mark.parametrize("value", [True, 2])
def test_fast_dev_run_writes_no_files(rnn_tasks: RnnTasks, value: Any) -> None:
    result = rnn_tasks(*arguments({"trainer.fast_dev_run": value}, {}))
    assert result.status == 0, result.err
    assert [path.name for path in Path().iterdir()] == ["callbacks.yaml"]


def test_limit_predict_batches_limits_the_predictions(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    command = ["predict", f"--config={run}/config.yaml", f"--ckpt_path={run}/checkpoints/best.ckpt"]
    result = trained(*command, "--data.eval_batch_size=4", "--trainer.limit_predict_batches=2")
    assert result.status == 0, result.err
    assert f"wrote the answers to 8 sequences to {(run / 'predictions.jsonl').absolute()}\n" in result.out
    assert len((run / "predictions.jsonl").read_text().splitlines()) == 8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo over the loopback device is tried on Linux only")
def test_two_processes_of_ddp_train_and_resume(working_folder: Path) -> None:
    options = {"trainer.strategy": "ddp", "trainer.devices": 2, "trainer.accelerator": "cpu"}
    status, _, errors = finish(start(working_folder, *arguments(options, {})))
    assert status == 0, errors
    folder = Path("lightning_logs/echo/version_0")
    assert summary(folder)["sequences"] == 2 * 4 * summary(folder)["steps"]
    status, _, errors = finish(start(working_folder, "resume", str(folder), "--trainer.max_steps=6"))
    assert status == 0, errors
    assert summary(folder)["steps"] == 6
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]
