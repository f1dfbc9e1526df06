import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser

from rnn_tasks.runs.find import config_hash, read_config
from rnn_tasks.runs.hyperparameters import hyperparameters
from rnn_tasks.runs.record import RunRecord, run_folder, run_record
from tests.helpers.command_line import SMALL, RnnTasks
from tests.helpers.monitored_runs import RecordingLogger, echo, model_for, trainer

CONFIG: dict[str, Any] = {
    "seed_everything": 5,
    "data": {"class_path": "rnn_tasks.tasks.Echo", "init_args": {"delay": 2}},
    "model": {
        "class_path": "rnn_tasks.models.SequenceTagger",
        "init_args": {"zero_blank_weights": True, "schedule": None},
    },
    "constraint": None,
}


def record(**changed: Any) -> RunRecord:
    """Return the record of a small configuration."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_argument("--seed_everything", type=int)
    for section in ("data", "model", "constraint"):
        parser.add_argument(f"--{section}", type=dict | None)
    return RunRecord(parser, parser.parse_object({**CONFIG, **changed}))


def set_up(record: RunRecord, folder: Path | None, *, stage: str = "fit", **options: Any) -> None:
    """Set up a trainer whose run has a folder."""
    record.folder = folder
    record.setup(trainer(record, **options), model_for(echo()), stage)


def test_config_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    set_up(record(), tmp_path)
    assert yaml.safe_load(path.read_text()) == CONFIG
    written = path.stat()
    set_up(record(seed_everything=6), tmp_path)
    assert yaml.safe_load(path.read_text()) == CONFIG
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert [file.name for file in path.parent.iterdir()] == ["config.yaml"]


def test_config_is_written_again_when_it_was_removed(tmp_path: Path) -> None:
    run = record()
    set_up(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    run.on_save_checkpoint(trainer(run), model_for(echo()), {})
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text()) == CONFIG


def test_config_is_written_by_rank_zero_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "is_global_zero", False)
        set_up(record(), tmp_path)
        assert not list(tmp_path.rglob("config.yaml"))
    set_up(record(), tmp_path)
    assert len(list(tmp_path.rglob("config.yaml"))) == 1


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_config_is_not_written_when_a_run_is_evaluated(tmp_path: Path, stage: str) -> None:
    set_up(record(), tmp_path, stage=stage)
    assert not list(tmp_path.rglob("config.yaml"))


def test_config_is_not_written_when_a_run_has_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_up(record(), None)
    assert not list(tmp_path.rglob("config.yaml"))


def test_text_values_and_hash_of_a_record_agree(tmp_path: Path) -> None:
    run = record()
    folder = tmp_path
    set_up(run, folder)
    assert (folder / "config.yaml").read_text() == run.text
    assert run.values == read_config(folder) == CONFIG
    assert run.model_hash == config_hash(read_config(folder)["model"]) == config_hash(CONFIG["model"])
    assert run.hyperparameters == hyperparameters(CONFIG)
    assert run.hyperparameters["seed"] == 5
    assert record(seed_everything=6).model_hash == run.model_hash
    assert record(model={"class_path": "A"}).model_hash != run.model_hash


def test_checkpoints_contain_the_hash_of_the_model_section(rnn_tasks: RnnTasks) -> None:
    assert rnn_tasks("fit", "--config", "echo", *SMALL).status == 0
    folder = Path("lightning_logs/echo/version_0")
    expected = config_hash(read_config(folder)["model"])
    for name in ("best", "last"):
        stored = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)["rnn_tasks"]
        assert stored["config"] == expected
    text = (folder / "config.yaml").read_text()
    assert rnn_tasks("resume", "echo", "--trainer.max_steps=6").status == 0
    assert (folder / "config.yaml").read_text() == text


def test_checkpoint_without_a_record_has_no_hash(tmp_path: Path) -> None:
    running = trainer()
    running.fit(model_for(echo()), echo())
    running.save_checkpoint(tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["rnn_tasks"]["config"] is None


def test_run_record_finds_the_record_among_the_callbacks() -> None:
    config_record = record()
    assert run_record(trainer(Callback(), config_record, Callback())) is config_record
    assert run_record(trainer(Callback())) is None


def test_run_folder_is_the_folder_of_the_first_logger(tmp_path: Path) -> None:
    assert run_folder(trainer(folder=tmp_path)) == tmp_path / "run/version_0"
    assert run_folder(trainer(folder=tmp_path, logger=RecordingLogger())) == tmp_path / "run/version_0"


def test_run_folder_is_none_when_a_run_writes_no_files(tmp_path: Path) -> None:
    assert run_folder(trainer()) is None
    assert run_folder(trainer(logger=RecordingLogger())) is None
    assert run_folder(trainer(folder=tmp_path, fast_dev_run=True, val_check_interval=1)) is None
