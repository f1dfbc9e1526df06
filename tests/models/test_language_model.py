import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim import Adam

from rnn_tasks.callbacks import ExactResume
from rnn_tasks.cores import GRU, LSTM, Core, Elman, Foreign, map_state
from rnn_tasks.errors import UsageError
from rnn_tasks.models import LanguageModel
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks import ElmanGrammar, Text

SPEC = TaskSpec(5, 5, vocabulary=Vocabulary("abc ", prefix="ab"))
CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=6, num_layers=2),
    "GRU": partial(GRU, hidden_size=6),
    "LSTM": partial(LSTM, hidden_size=6, num_layers=2),
    "Foreign": partial(Foreign, hidden_size=6, layer=nn.LSTM),
}


def language_model(core: str = "LSTM", spec: TaskSpec = SPEC, **options: Any) -> LanguageModel:
    return LanguageModel(CORES[core], spec, partial(Adam, lr=0.02), **options)


def trainer(*callbacks: Callback, **options: Any) -> Trainer:
    settings: dict[str, Any] = {
        "max_steps": 6,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    return Trainer(callbacks=list(callbacks), **{**settings, **options})


def grammar(**options: Any) -> ElmanGrammar:
    settings = {"batch_size": 3, "sequence_length": 10, "epoch_length": 4, "val_characters": 90, "test_characters": 90}
    return ElmanGrammar(**{**settings, "eval_batch_size": 3, "baseline_characters": 2000, **options})


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the losses, computed one character at a time."""
    probabilities = torch.stack([row.exp() / row.exp().sum() for row in logits.flatten(0, 1)])
    pairs = zip(probabilities, targets.flatten(), strict=True)
    return -torch.stack([row[target].log() for row, target in pairs if target >= 0]).sum()


@pytest.mark.parametrize("core", CORES)
def test_continuing_batch_starts_from_the_state_of_its_stage(core: str) -> None:
    model = language_model(core)
    symbols = torch.randint(0, 5, (2, 13))
    whole = model(symbols[:, :-1])[0]

    def logits(start: int, stop: int, stage: str, continues: bool) -> Tensor:
        targets = symbols[:, start + 1 : stop + 1]
        return model.outputs(Batch(symbols[:, start:stop], targets, continues=continues), stage)

    first = logits(0, 5, "train", False)
    logits(3, 9, "val", False)  # a validation batch between two training batches
    second = logits(5, 12, "train", True)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(logits(0, 5, "train", False), first)  # starts from zero
    from_zero = logits(5, 12, "test", True)  # the first batch of its stage
    assert not torch.allclose(from_zero, second)


def test_carried_state_has_no_gradient() -> None:
    model = language_model()
    symbols = torch.randint(0, 5, (2, 9))
    model.outputs(Batch(symbols[:, :4], symbols[:, 1:5]), "train")
    total, _ = model.summed_loss(Batch(symbols[:, 4:8], symbols[:, 5:9], continues=True), "train")
    total.backward()  # type: ignore[no-untyped-call]
    total, _ = model.summed_loss(Batch(symbols[:, 4:8], symbols[:, 5:9], continues=True), "train")
    total.backward()  # type: ignore[no-untyped-call]  # fails if the state is attached to the freed graph
    states = model.carried["train"]
    assert not any(state.requires_grad for state in states)


def test_measures_are_means_over_all_characters() -> None:
    model = language_model()
    batches = [
        Batch(torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, 4]])),
        Batch(torch.tensor([[4, 2, 0]]), torch.tensor([[2, NOT_SCORED, NOT_SCORED]])),
    ]
    expected = sum(cross_entropy(model(batch.inputs)[0], batch.targets).item() for batch in batches) / 4
    scores = model.stage_scores("val")
    for batch in batches:
        total, logits = model.summed_loss(batch, "val")
        scores.update(total, logits.argmax(-1), batch)
    measures = model.measures(scores.compute())
    assert measures["loss"] == pytest.approx(expected)
    assert measures["perplexity"] == pytest.approx(math.exp(expected))
    assert measures["bits_per_character"] == pytest.approx(expected / math.log(2))
    assert set(measures) == {"loss", "perplexity", "bits_per_character", "accuracy"}


@pytest.mark.parametrize("limit", [4, 3])
def test_epoch_measures_are_means_over_all_characters(limit: int) -> None:
    losses: list[float] = []

    class RecordLosses(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            losses.append(outputs["loss"].item())

    fit_trainer = trainer(RecordLosses(), max_steps=2 * limit, limit_train_batches=limit)  # two epochs
    task = grammar()
    fit_trainer.fit(language_model(spec=task.spec), task)
    assert len(losses) == 2 * limit
    mean = sum(losses[limit:]) / limit
    assert fit_trainer.callback_metrics["train_epoch/loss"].item() == pytest.approx(mean, rel=1e-5)
    assert fit_trainer.callback_metrics["train_epoch/perplexity"].item() == pytest.approx(math.exp(mean), rel=1e-5)


class Killed(Exception):
    """Stands for the end of a process by a signal."""


class KillAt(Callback):
    """Raises Killed after a number of steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise Killed


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # all trainings write into the same folder
@pytest.mark.parametrize("limit", [1.0, 3])
@pytest.mark.parametrize(("core", "step"), [("LSTM", 5), ("GRU", 6), ("Elman", 7), ("Foreign", 4)])
def test_killed_run_resumes_to_identical_weights(tmp_path: Path, core: str, step: int, limit: float) -> None:
    def train(*callbacks: Callback, resume: bool = False) -> tuple[Trainer, LanguageModel]:
        torch.manual_seed(1)
        task = grammar()
        model = language_model(core, spec=task.spec, dropout=0.4)
        checkpoints = ModelCheckpoint(tmp_path, "last", every_n_train_steps=1, enable_version_counter=False)
        options: dict[str, Any] = {"max_steps": 11, "enable_checkpointing": True, "limit_train_batches": limit}
        fit_trainer = trainer(ExactResume(), checkpoints, *callbacks, **options)
        fit_trainer.fit(model, task, ckpt_path=tmp_path / "last.ckpt" if resume else None)
        return fit_trainer, model

    whole_trainer, whole = train()
    with pytest.raises(Killed):
        train(KillAt(step))
    resumed_trainer, resumed = train(resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    for ours, theirs in zip(*(
        [value for state in fit_trainer.optimizers[0].state.values() for value in state.values()]
        for fit_trainer in (whole_trainer, resumed_trainer)
    ), strict=True):  # fmt: skip
        assert torch.equal(ours, theirs)
    assert torch.equal(whole.epoch_sums, resumed.epoch_sums)
    name = "train_epoch/loss"
    assert torch.equal(whole_trainer.callback_metrics[name], resumed_trainer.callback_metrics[name])


def test_second_fit_does_not_continue_the_state_of_the_first() -> None:
    task = grammar()
    model = language_model(spec=task.spec)
    trainer(max_steps=2).fit(model, task)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    batch = task.train_batch(0)
    losses: list[Tensor] = []

    class RecordLosses(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            losses.append(outputs["loss"].detach())

    trainer(RecordLosses(), max_steps=1).fit(model, task)
    model.load_state_dict(weights)
    total, _ = model.summed_loss(batch._replace(continues=False), "test")
    assert losses[0].item() == pytest.approx(total.item() / batch.targets.numel())


@pytest.mark.parametrize(
    "options", [{"batch_size": 5}, {"batch_size": 1}, {"sequence_length": 7}, {"seed": 1}], ids=str
)
def test_resumed_run_on_other_rows_starts_from_zero(
    options: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = grammar()
    model = language_model(spec=task.spec)
    fit_trainer = trainer(max_steps=2)
    fit_trainer.fit(model, task)
    fit_trainer.save_checkpoint(tmp_path / "model.ckpt")
    losses: list[float] = []

    class RecordLosses(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            losses.append(outputs["loss"].item())

    task = grammar(**options)
    batch = task.train_batch(2)
    assert batch.continues
    total, _ = model.summed_loss(batch._replace(continues=False), "test")
    resumed = language_model(spec=task.spec)
    trainer(RecordLosses(), max_steps=3).fit(resumed, task, ckpt_path=tmp_path / "model.ckpt")
    assert losses == [pytest.approx(total.item() / batch.targets.numel())]
    assert "note: the rows of the text are other ones than before" in capsys.readouterr().err


def text_task(folder: Path, name: str, text: str) -> Text:
    (folder / name).write_text(text)
    return Text(str(folder / name), batch_size=2, sequence_length=5, eval_batch_size=2, val_share=0.2, test_share=0.2)


def test_network_is_tested_on_another_text(tmp_path: Path) -> None:
    """The letters keep their symbols; a text with other letters is not mistaken for the text of the training."""
    task = text_task(tmp_path, "a.txt", "abcab cabca bc " * 30)
    model = LanguageModel(partial(GRU, hidden_size=16), task.spec, partial(Adam, lr=0.02))
    trainer(max_steps=150).fit(model, task)

    def tested(text: str) -> float:
        return trainer().test(model, text_task(tmp_path, "b.txt", text), verbose=False)[0]["test/loss"]

    same = tested("abcab cabca bc " * 30)
    assert same < 0.2
    assert tested("bcabc abcab ca " * 30) > 5 * same  # the same letters in other places
    assert tested("dabcab cabca bc " * 30) < 1.5  # one letter is unknown; all others would get another symbol
    assert tested("xyzxy zxyzx yz " * 30) > 3


def test_training_on_another_text_raises(tmp_path: Path) -> None:
    task = text_task(tmp_path, "a.txt", "abcab cabca bc " * 30)
    model = language_model(spec=task.spec)
    fit_trainer = trainer(max_steps=2)
    fit_trainer.fit(model, task)
    fit_trainer.save_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(UsageError, match="this text has new characters 'xyz' and no characters 'abc'"):
        trainer().fit(model, text_task(tmp_path, "b.txt", "xyzxy zxyzx yz " * 30))
    changed = text_task(tmp_path, "a.txt", "bcabc cabca bc " * 30)
    with pytest.raises(UsageError, match="the text has changed since the checkpoint was saved"):
        trainer(max_steps=4).fit(model, changed, ckpt_path=tmp_path / "model.ckpt")
    trainer().test(model, changed, ckpt_path=tmp_path / "model.ckpt", verbose=False)  # measures on the changed text


def test_checkpoint_holds_the_training_state(tmp_path: Path) -> None:
    task = grammar()
    model = language_model(spec=task.spec)
    fit_trainer = trainer()
    fit_trainer.fit(model, task)
    fit_trainer.save_checkpoint(tmp_path / "model.ckpt")
    stored = torch.load(tmp_path / "model.ckpt", weights_only=True)[CHECKPOINT_KEY]
    (state,) = stored["train"]
    assert [tensor.shape for tensor in state] == [(2, 3, 6), (2, 3, 6)]
    assert TaskSpec.from_dict(stored["spec"]) == task.spec


def test_validation_does_not_change_the_training_state() -> None:
    def trained_weights(**options: Any) -> dict[str, Tensor]:
        torch.manual_seed(2)
        task = grammar()
        model = language_model(spec=task.spec)
        trainer(**options).fit(model, task)
        return model.state_dict()

    without_validation = trained_weights()
    with_validation = trained_weights(limit_val_batches=1.0, val_check_interval=1, check_val_every_n_epoch=None)
    for name, value in without_validation.items():
        assert torch.equal(value, with_validation[name]), name


def test_language_model_learns_a_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcab cabca bc " * 100)
    task = Text(str(tmp_path / "text.txt"), batch_size=4, sequence_length=15)
    model = LanguageModel(partial(GRU, hidden_size=16), task.spec, partial(Adam, lr=0.02))
    trainer(max_steps=150).fit(model, task)
    assert model.generate("abcab ", 24, temperature=0) == ("abcab cabca bc " * 2)[:30]


def test_generate_calls_the_network_and_keeps_the_state() -> None:
    model = language_model(dropout=0.5)
    symbols = torch.randint(0, 5, (1, 5))
    model.outputs(Batch(symbols[:, :-1], symbols[:, 1:]), "train")
    carried = map_state(model.carried["train"], torch.clone)
    for temperature in (0, 0.7):
        text = model.generate("ab", 12, temperature, seed=4)
        assert text == model.network.generate("ab", 12, temperature, seed=4)
    assert model.training
    assert model.carried.keys() == {"train"}
    torch.testing.assert_close(model.carried["train"], carried, atol=0, rtol=0)


@pytest.mark.parametrize("embedding_size", [None, 3])
def test_checkpoint_of_0_1_0_resumes_to_identical_weights(tmp_path: Path, embedding_size: int | None) -> None:
    """In version 0.1.0 the names of the weights had no prefix ``network.``."""

    def train(steps: int, resume: Path | None = None) -> tuple[Trainer, LanguageModel]:
        torch.manual_seed(1)
        task = grammar()
        model = language_model(spec=task.spec, embedding_size=embedding_size)
        fit_trainer = trainer(max_steps=steps)
        fit_trainer.fit(model, task, ckpt_path=resume)
        return fit_trainer, model

    _, whole = train(steps=6)
    fit_trainer, _ = train(steps=3)
    fit_trainer.save_checkpoint(tmp_path / "new.ckpt")
    checkpoint = torch.load(tmp_path / "new.ckpt", weights_only=True)
    old = {name.removeprefix("network."): weight for name, weight in checkpoint["state_dict"].items()}
    assert not old.keys() & checkpoint["state_dict"].keys()
    torch.save({**checkpoint, "state_dict": old}, tmp_path / "old.ckpt")
    _, resumed = train(steps=6, resume=tmp_path / "old.ckpt")
    assert resumed.state_dict().keys() == whole.state_dict().keys()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
