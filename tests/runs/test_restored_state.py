"""Runs that continue from a checkpoint: the state fits the run, and nothing is rounded."""

from pathlib import Path

import pytest
import torch

from tests.helpers.command_line import RnnTasks, small

RUN = Path("lightning_logs/echo/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop", "AdamW"])
def test_fit_rejects_the_state_of_another_optimizer(trained: RnnTasks, optimizer: str) -> None:
    options = ["--trainer.max_steps=6", "--model.optimizer", optimizer, "--ckpt_path", str(LAST)]
    result = trained("fit", "--config", "echo", *small("echo"), *options)
    assert result.status == 2
    assert f"it holds the state of another optimizer: Adam instead of {optimizer}" in result.err
    assert result.err.count("\n") == 1


def test_resume_rejects_complex_weights(trained: RnnTasks) -> None:
    checkpoint = torch.load(LAST, weights_only=True)
    name = "network.core.weight_hh_l0"
    checkpoint["state_dict"][name] = checkpoint["state_dict"][name].to(torch.complex64)
    torch.save(checkpoint, LAST)
    result = trained("resume", str(RUN), "--trainer.max_steps=6")
    assert result.status == 2
    assert "does not fit this network" in result.err


def test_resume_keeps_the_best_checkpoints_of_another_folder(rnn_tasks: RnnTasks) -> None:
    options = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath=other"]
    options += ["--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.filename={step}"]
    assert rnn_tasks("fit", "--config", "echo", *small("echo"), *options).status == 0
    assert rnn_tasks("resume", str(RUN), "--trainer.max_steps=12").status == 0
    (best,) = Path("other").iterdir()
    best_of_run = torch.load(RUN / "checkpoints" / "best.ckpt", weights_only=True)
    assert torch.load(best, weights_only=True)["global_step"] == best_of_run["global_step"]


def test_resume_removes_scratch_files_of_killed_processes(trained: RnnTasks) -> None:
    for path in (RUN / ".summary.json.12", RUN / "checkpoints" / ".last.ckpt.0123456789abcdef"):
        path.touch()
    assert trained("resume", str(RUN), "--trainer.max_steps=6").status == 0
    assert not [*RUN.rglob(".summary*"), *RUN.rglob(".last*")]


def test_resume_rounds_no_weights_in_double_precision(rnn_tasks: RnnTasks) -> None:
    options = [*small("echo"), "--trainer.precision=64-true", "--model.schedule=null"]
    for steps in (6, 4):
        assert rnn_tasks("fit", "--config", "echo", *options, f"--trainer.max_steps={steps}").status == 0
    resumed = RUN.with_name("version_1")
    assert rnn_tasks("resume", str(resumed), "--trainer.max_steps=6").status == 0
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (RUN, resumed))
    for name, weight in one["state_dict"].items():
        assert weight.dtype == torch.float64
        assert torch.equal(weight, other["state_dict"][name])
    for index, state in one["optimizer_states"][0]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, other["optimizer_states"][0]["state"][index][name])
