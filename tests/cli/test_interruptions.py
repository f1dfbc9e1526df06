"""Runs that are interrupted anywhere and then resumed end like uninterrupted runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command_line import RnnTasks, small
from tests.helpers.interruptions import Interrupt, KilledError, run_differences
from tests.helpers.rotation import rotating

FIT = ["fit", "--config", "echo", *small("echo"), "--trainer.max_steps=12", "--trainer.val_check_interval=3"]
FIT += ["--trainer.log_every_n_steps=1", "--data.val_sequences=20", "--data.eval_batch_size=10"]
FIT += ["--trainer.callbacks+=LastCheckpoint", "--trainer.callbacks.every_n_steps=2"]

ACCUMULATED = ("--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=6")
SOLVED = ("--trainer.callbacks+=StopAtAccuracy", "--trainer.callbacks.threshold=0.069")
EPOCHS = ("--data.epoch_sequences=14", "--trainer.check_val_every_n_epoch=1", "--trainer.val_check_interval=1.0")
DROPOUT = ("--model.core=LSTM", "--model.core.num_layers=2", "--model.core.dropout=0.5")
PLATEAU = (
    "--model.schedule=null",
    "--model.lr_scheduler=lightning.pytorch.cli.ReduceLROnPlateau",
    "--model.lr_scheduler.monitor=val/loss",
)
CSV = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: csv}}"
CASES = {
    "plain": (),
    "accumulated": ACCUMULATED,
    "solved": SOLVED,
    "all": (*ACCUMULATED, *SOLVED, "--trainer.precision=64-true"),
    "half_precision": ("--trainer.precision=bf16-true",),
    "no_logger": ("--trainer.logger=false",),
    "two_loggers": (f"--trainer.logger=[RunLogger, {CSV}]",),
    "epochs": EPOCHS,
    "validation_each_step": ("--trainer.val_check_interval=1",),
    "orthogonal": ("--constraint=Reorthogonalize", "--constraint.every_n_steps=2"),
    "dropout": DROPOUT,
    "plateau": (
        "--model.schedule=null",
        "--model.lr_scheduler=lightning.pytorch.cli.ReduceLROnPlateau",
        "--model.lr_scheduler.monitor=val/loss",
    ),
}
"""Options of runs, by name."""


@pytest.fixture(autouse=True)
def active() -> Iterator[None]:
    Interrupt.is_active = True
    yield
    Interrupt.is_active = True


def check(rnn_tasks: RnnTasks, arguments: list[str], places: list[tuple[str, str, int]]) -> None:
    """Compare an uninterrupted run with runs that are interrupted at some places and resumed.

    Args:
        rnn_tasks: The command line.
        arguments: The arguments of the run.
        places: The kind of the interruption, the hook and the training batch.
    """
    result = rnn_tasks(*arguments)
    assert (result.status, result.err) == (0, "")
    whole = next(Path("lightning_logs").glob("*/version_0"))
    for number, (kind, hook, batch) in enumerate(places, start=1):
        Interrupt.is_active = True
        interruption = [
            "--trainer.callbacks+=tests.helpers.interruptions.Interrupt",
            f"--trainer.callbacks.hook={hook}",
        ]
        interruption += [f"--trainer.callbacks.batch={batch}", f"--trainer.callbacks.kind={kind}"]
        if kind == "KILL":
            with pytest.raises(KilledError):
                rnn_tasks(*arguments, *interruption)
        else:
            assert rnn_tasks(*arguments, *interruption).status == 143
        Interrupt.is_active = False
        folder = whole.with_name(f"version_{number}")
        result = rnn_tasks("resume", str(folder))
        assert (result.status, result.err) == (0, ""), (kind, hook, batch)
        assert run_differences(whole, folder) == [], (kind, hook, batch)


@pytest.mark.parametrize("case", rotating(CASES))
def test_a_resumed_run_equals_an_uninterrupted_run(rnn_tasks: RnnTasks, case: str) -> None:
    places = [
        ("SIGTERM", "on_train_batch_end", 3),
        ("SIGTERM", "on_validation_batch_end", 6),
        ("KILL", "on_before_backward", 5),
    ]
    check(rnn_tasks, [*FIT, *CASES[case]], places)
