from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnn_tasks.callbacks import GenerationMonitor, Progress
from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError
from rnn_tasks.models import LanguageModel
from rnn_tasks.tasks import ElmanGrammar


def train(folder: Path, *monitors: GenerationMonitor) -> LanguageModel:
    torch.manual_seed(0)
    task = ElmanGrammar(
        batch_size=2, sequence_length=6, val_characters=40, test_characters=40, baseline_characters=2000
    )
    model = LanguageModel(partial(GRU, hidden_size=5), task.spec, partial(torch.optim.Adam, lr=0.1), dropout=0.2)
    trainer = Trainer(
        max_steps=4,
        val_check_interval=1,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
        logger=TensorBoardLogger(folder),
        callbacks=[Progress(), *monitors],
    )
    trainer.fit(model, task)
    return model


def samples(folder: Path) -> list[tuple[int, str]]:
    events = EventAccumulator(str(next(folder.glob("lightning_logs/version_*")))).Reload()
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors("samples/text_summary")]


def test_samples_are_written_to_tensorboard_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = GenerationMonitor(prefix="a cat", length=7, every_n_validations=2, print_every_n_validations=3)
    model = train(tmp_path, monitor)
    written = samples(tmp_path)
    assert [step for step, _ in written] == [2, 4]
    assert f"temperature 0\n{model.generate('a cat', 7, 0.0)}\n" in written[-1][1]
    assert f"temperature 0.7\n{model.generate('a cat', 7, 0.7)}\n" in written[-1][1]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sample at step")]
    assert [line.split(":")[0] for line in printed] == ["sample at step 3", "sample at step 4"]
    assert printed[-1].endswith(repr(model.generate("a cat", 7, 0.7)))


def test_samples_start_with_the_prefix_of_the_task_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, GenerationMonitor(print_every_n_validations=0))
    assert "\nthe boy" in samples(tmp_path)[0][1]
    assert "sample" not in capsys.readouterr().out


def test_generation_monitor_changes_no_weight(tmp_path: Path) -> None:
    plain, monitored = train(tmp_path / "plain"), train(tmp_path / "monitored", GenerationMonitor())
    for name, value in plain.state_dict().items():
        assert torch.equal(value, monitored.state_dict()[name]), name


@pytest.mark.parametrize(
    "option", [{"length": 0}, {"every_n_validations": 0}, {"print_every_n_validations": -1}, {"temperature": 0.0}]
)
def test_generation_monitor_raises_for_values_outside_bounds(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        GenerationMonitor(**option)


def test_generation_monitor_raises_without_generate(fit: Any) -> None:
    with pytest.raises(UsageError, match="needs a model that generates text, got SequenceTagger"):
        fit(GenerationMonitor())
