"""A table of all callbacks of Lightning: each one works with the command line, or is refused with one line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch.callbacks as lightning_callbacks
import pytest
import torch

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
from tests.helpers.rotation import rotating

MODULE = """
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import BaseFinetuning, BasePredictionWriter, Checkpoint, LambdaCallback, ProgressBar


def count(batch):
    return batch.num_sequences


class Greeting(LambdaCallback):
    def __init__(self):
        super().__init__(on_train_start=lambda trainer, model: Path("greeting").write_text(type(model).__name__))


class LastAnswers(BasePredictionWriter):
    def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        Path("answers").write_text(str(tuple(prediction.shape)))


class NoCheckpoint(Checkpoint):
    pass


class Dots(ProgressBar):
    def disable(self):
        pass

    def on_train_batch_end(self, *_):
        print("dot")


class ReadoutLater(BaseFinetuning):
    def freeze_before_training(self, model):
        self.freeze(model.network.readout)

    def finetune_function(self, model, epoch, optimizer):
        if epoch == 1:
            self.unfreeze_and_add_param_group(model.network.readout, optimizer)
"""
"""Callbacks that need Python, in a module beside the config."""

PREFIX = "lightning.pytorch.callbacks."
LATER = {"trainer.max_epochs": 4}


@pytest.fixture(autouse=True)
def own_module(working_folder: Path) -> Iterator[None]:
    """Write a module with callbacks into the working folder."""
    (working_folder / "my_callbacks.py").write_text(MODULE)
    yield
    sys.modules.pop("my_callbacks", None)


def weights_of(folder: Path, name: str) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]
    return weights


def logs_rates_and_throughput(folder: Path, fitted: CommandResult) -> None:
    names = read_curves(folder).keys()
    assert {"lr-Adam/recurrent", "lr-Adam/input", "lr-Adam/rest"} <= names
    assert any(name.startswith("train/device") or "samples_per_sec" in name for name in names)
    assert Path("greeting").read_text() == "SequenceTagger"
    saved = {path.name for path in (folder / "checkpoints").iterdir()}
    assert {"best.ckpt", "last.ckpt", "epoch=0-step=2.ckpt", "epoch=0-step=4.ckpt"} <= saved


def shows_no_other_bar(folder: Path, fitted: CommandResult) -> None:
    assert "steps/s" not in fitted.out


def prints_dots(folder: Path, fitted: CommandResult) -> None:
    assert fitted.out.count("dot\n") == 4
    shows_no_other_bar(folder, fitted)


def summarises_the_model(folder: Path, fitted: CommandResult) -> None:
    shows_no_other_bar(folder, fitted)
    assert "TaggerNetwork" in fitted.out + fitted.err


def steps_after_four_batches(folder: Path, fitted: CommandResult) -> None:
    assert summary(folder)["steps"] == 2 + 4 + 4  # the first of three epochs accumulates two batches for each step


def saves_the_average(folder: Path, fitted: CommandResult) -> None:
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    average, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    name = "network.core.weight_hh_l0"
    assert average.keys() == current.keys()
    assert not torch.equal(average[name], current[name]) or checkpoint["averaging_state"]["n_averaged"] > 0


def ends_with_the_average(folder: Path, fitted: CommandResult) -> None:
    best, last = weights_of(folder, "best"), weights_of(folder, "last")
    assert all(torch.equal(best[name], last[name]) for name in last)


def prunes_half_of_the_readout(folder: Path, fitted: CommandResult) -> None:
    weights = weights_of(folder, "last")
    pruned = torch.cat([weights["network.readout.weight"].flatten(), weights["network.readout.bias"]]) == 0
    assert 0.4 < pruned.float().mean() < 0.9


def trains_the_frozen_layer_later(folder: Path, fitted: CommandResult) -> None:
    groups = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"]
    assert len(groups) > 1


def finds_a_rate(folder: Path, fitted: CommandResult) -> None:
    groups = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"]
    rates = {group["name"]: group["initial_lr"] for group in groups}
    assert rates["recurrent"] == pytest.approx(0.2 * rates["rest"])
    assert rates["rest"] != pytest.approx(0.02)


OBSERVING: dict[str, dict[str, Any]] = {
    PREFIX + "Callback": {},
    "my_callbacks.NoCheckpoint": {},
    PREFIX + "EarlyStopping": {"monitor": "val/loss", "patience": 9},
    "my_callbacks.Greeting": {},
    "my_callbacks.LastAnswers": {"write_interval": "batch"},
    PREFIX + "LearningRateMonitor": {},
    PREFIX + "ModelCheckpoint": {"monitor": "val/loss", "save_top_k": 3},
    PREFIX + "ModelSummary": {},
    PREFIX + "OnExceptionCheckpoint": {"dirpath": "rescued"},
    PREFIX + "SpikeDetection": {},
    PREFIX + "ThroughputMonitor": {"batch_size_fn": "my_callbacks.count", "window_size": 2},
    PREFIX + "Timer": {"duration": "00:01:00:00"},
}
"""Callbacks that do not affect one another."""

RUNS = {
    "observing": OptionRun(callbacks=OBSERVING, check=logs_rates_and_throughput),
    "own bar": OptionRun(callbacks={"my_callbacks.Dots": {}}, check=prints_dots),
    "rich bar": OptionRun(
        callbacks={PREFIX + "RichProgressBar": {}, PREFIX + "RichModelSummary": {}}, check=summarises_the_model
    ),
    "tqdm bar": OptionRun(callbacks={PREFIX + "TQDMProgressBar": {}}, check=shows_no_other_bar),
    "accumulation": OptionRun(
        EPOCHS,
        {PREFIX + "GradientAccumulationScheduler": {"scheduling": {0: 2, 1: 1}}},
        check=steps_after_four_batches,
        continued=LATER,
    ),
    "average": OptionRun(callbacks={PREFIX + "WeightAveraging": {}}, check=saves_the_average),
    "moving average": OptionRun(callbacks={PREFIX + "EMAWeightAveraging": {"decay": 0.5}}, check=saves_the_average),
    "average of epochs": OptionRun(
        EPOCHS,
        {PREFIX + "StochasticWeightAveraging": {"swa_lrs": 0.01, "swa_epoch_start": 2}},
        check=ends_with_the_average,
        continued=LATER,
    ),
    "rate finder": OptionRun(
        callbacks={PREFIX + "LearningRateFinder": {"num_training_steps": 15, "max_lr": 0.5}}, check=finds_a_rate
    ),
    "backbone": OptionRun(
        EPOCHS,
        {PREFIX + "BackboneFinetuning": {"unfreeze_backbone_at_epoch": 1}},
        check=trains_the_frozen_layer_later,
        continued=LATER,
    ),
    "own finetuning": OptionRun(
        EPOCHS, {"my_callbacks.ReadoutLater": {}}, check=trains_the_frozen_layer_later, continued=LATER
    ),
    "pruning": OptionRun(
        EPOCHS,
        {PREFIX + "ModelPruning": {"pruning_fn": "l1_unstructured"}},
        check=prunes_half_of_the_readout,
        continued=None,
    ),
}

BASES = {
    "my_callbacks.Dots": "ProgressBar",
    "my_callbacks.Greeting": "LambdaCallback",
    "my_callbacks.LastAnswers": "BasePredictionWriter",
    "my_callbacks.NoCheckpoint": "Checkpoint",
    "my_callbacks.ReadoutLater": "BaseFinetuning",
}
"""The callback of Lightning that each callback of the module extends."""

REFUSED = {
    "batch size": RefusedRun(
        "BatchSizeFinder cannot be used: the batch size would depend on the free memory, so the run could be neither "
        "repeated nor resumed; set data.batch_size",
        callbacks={PREFIX + "BatchSizeFinder": {}},
    )
}

TESTED_ALONE = {"DeviceStatsMonitor"}


def names_of(runs: list[OptionRun | RefusedRun]) -> set[str]:
    """Return the names of Lightning's callbacks in some runs."""
    return {BASES.get(path, path.removeprefix(PREFIX)) for run in runs for path in run.callbacks}


def test_table_lists_every_callback_of_lightning() -> None:
    """If this test fails after an update of Lightning, decide what the new callback does, and add a run with it."""
    assert names_of([*RUNS.values(), *REFUSED.values()]) | TESTED_ALONE == set(lightning_callbacks.__all__)


def test_few_callbacks_are_refused() -> None:
    assert len(names_of(list(REFUSED.values()))) <= 4


@pytest.mark.parametrize("name", rotating(RUNS))
@pytest.mark.filterwarnings("ignore:When using the `ThroughputMonitor`, you need to define a `flops_per_batch`")
@pytest.mark.filterwarnings("ignore:.*paths outside its folder are ignored in the state of the callback SpikeDetection")
def test_run_with_callbacks_of_lightning_ends_well(rnn_tasks: RnnTasks, name: str) -> None:
    fit_resume_and_respond(rnn_tasks, RUNS[name])


@pytest.mark.parametrize("name", REFUSED)
def test_callback_is_refused_with_one_line(rnn_tasks: RnnTasks, name: str) -> None:
    is_refused(rnn_tasks, REFUSED[name])


@pytest.mark.parametrize("averaging", ["WeightAveraging", "EMAWeightAveraging"])
def test_average_under_a_constraint_is_refused_with_one_line(rnn_tasks: RnnTasks, averaging: str) -> None:
    message = (
        f"{averaging} cannot be used with Reorthogonalize, since an average of orthogonal matrices is not orthogonal: "
        "remove one of them, or use --constraint null with --model.core.orthogonal_map matrix_exp"
    )
    is_refused(rnn_tasks, RefusedRun(message, {"constraint": "Reorthogonalize"}, {PREFIX + averaging: {}}))


def test_run_with_pruning_is_not_resumed(rnn_tasks: RnnTasks) -> None:
    run = RUNS["pruning"]
    assert rnn_tasks(*arguments(run.options, run.callbacks)).status == 0
    resumed = rnn_tasks("resume", run.folder, "--trainer.max_epochs=4")
    assert resumed.status == 2
    assert resumed.err == (
        "rnn-tasks: error: a run with ModelPruning cannot be resumed, because checkpoints do not contain its masks: "
        "train from scratch\n"
    )


def test_device_stats_are_logged(rnn_tasks: RnnTasks) -> None:
    result = rnn_tasks(*arguments({}, {PREFIX + "DeviceStatsMonitor": {}}))
    assert (result.status, result.err) == (0, "")
    assert any("cpu_percent" in name for name in read_curves(Path("lightning_logs/echo/version_0")))


def test_own_list_of_callbacks_needs_nothing_else(rnn_tasks: RnnTasks) -> None:
    options = {"trainer.callbacks": "EarlyStopping", "trainer.callbacks.monitor": "val/loss"}
    fit_resume_and_respond(rnn_tasks, OptionRun(options))


@pytest.mark.filterwarnings("ignore:Couldn't infer the batch indices fetched from your dataloader")
def test_prediction_writer_of_the_user_writes_beside_ours(trained: RnnTasks) -> None:
    Path("callbacks.yaml").write_text("trainer: {callbacks+: {class_path: my_callbacks.LastAnswers}}\n")
    run = "lightning_logs/echo/version_0"
    command = [f"--config={run}/config.yaml", "--config=callbacks.yaml", f"--ckpt_path={run}/checkpoints/best.ckpt"]
    result = trained("predict", *command)
    assert result.status == 0, result.err
    assert Path("answers").exists()
    assert Path(run, "predictions.jsonl").exists()
