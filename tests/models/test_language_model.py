import math
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

from rnn_tasks.callbacks import ExactResume
from rnn_tasks.cores import GRU, LSTM, Core, Elman, Foreign, Normal
from rnn_tasks.errors import UsageError
from rnn_tasks.models import LanguageModel
from rnn_tasks.models.language_model import mapped
from rnn_tasks.models.recurrent_model import CHECKPOINT_KEY
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


def model_of(core: str = "LSTM", spec: TaskSpec = SPEC, **options: Any) -> LanguageModel:
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
    return ElmanGrammar(**{**settings, "eval_batch_size": 3, **options})


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed, one character after another."""
    chances = torch.stack([row.exp() / row.exp().sum() for row in logits.flatten(0, 1)])
    pairs = zip(chances, targets.flatten(), strict=True)
    return -torch.stack([row[target].log() for row, target in pairs if target >= 0]).sum()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("embedding_size", [None, 3])
def test_loss_and_gradient_in_chunks_are_those_of_the_whole(core: str, embedding_size: int | None) -> None:
    model = model_of(core, embedding_size=embedding_size).double()
    symbols = torch.randint(0, 5, (2, 13))
    inputs, targets = symbols[:, :-1], symbols[:, 1:]

    def gradient(*chunks: slice) -> tuple[Tensor, dict[str, Tensor]]:
        loss, state = torch.zeros((), dtype=torch.double), None
        for chunk in chunks:
            logits, state = model(inputs[:, chunk], state)
            loss = loss + cross_entropy(logits, targets[:, chunk])
        values = torch.autograd.grad(loss, list(model.parameters()))
        return loss, dict(zip(dict(model.named_parameters()), values, strict=True))

    whole, parts = gradient(slice(None)), gradient(slice(0, 5), slice(5, 6), slice(6, 12))
    torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("core", CORES)
def test_a_batch_that_continues_goes_on_with_the_state_of_its_stage(core: str) -> None:
    model = model_of(core)
    symbols = torch.randint(0, 5, (2, 13))
    whole = model(symbols[:, :-1])[0]

    def logits(start: int, stop: int, stage: str, continues: bool) -> Tensor:
        targets = symbols[:, start + 1 : stop + 1]
        return model.logits(Batch(symbols[:, start:stop], targets, continues=continues), stage)

    first = logits(0, 5, "train", False)
    logits(3, 9, "val", False)  # a validation in between
    second = logits(5, 12, "train", True)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(logits(0, 5, "train", False), first)  # starts at zero again
    alone = logits(5, 12, "test", True)  # a stage that has read nothing
    assert not torch.allclose(alone, second)


def test_the_state_is_carried_without_its_gradient() -> None:
    model = model_of()
    symbols = torch.randint(0, 5, (2, 9))
    model.logits(Batch(symbols[:, :4], symbols[:, 1:5]), "train")
    total, _ = model.summed_loss(Batch(symbols[:, 4:8], symbols[:, 5:9], continues=True), "train")
    total.backward()  # type: ignore[no-untyped-call]
    total, _ = model.summed_loss(Batch(symbols[:, 4:8], symbols[:, 5:9], continues=True), "train")
    total.backward()  # type: ignore[no-untyped-call]  # would go through a graph that is gone
    states = model.carried["train"]
    assert not any(state.requires_grad for state in states)


def test_every_kind_of_state_is_reached() -> None:
    pair = namedtuple("pair", "hidden cell")  # as layers of other packages return it
    state = pair(torch.ones(1), [{"a": torch.ones(2)}, None, 3])
    assert mapped(state, torch.neg) == pair(-torch.ones(1), [{"a": pytest.approx([-1, -1])}, None, 3])


def test_figures_are_those_of_all_characters_together() -> None:
    model = model_of()
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


def test_the_figures_of_an_epoch_are_the_mean_over_its_characters() -> None:
    losses: list[float] = []

    class Keep(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            losses.append(outputs["loss"].item())

    at = trainer(Keep(), max_steps=8)  # two epochs of four batches
    task = grammar()
    at.fit(model_of(spec=task.spec), task)
    assert len(losses) == 8
    mean = sum(losses[4:]) / 4
    assert at.callback_metrics["train_epoch/loss"].item() == pytest.approx(mean, rel=1e-5)
    assert at.callback_metrics["train_epoch/perplexity"].item() == pytest.approx(math.exp(mean), rel=1e-5)


class Killed(Exception):
    """Raised where a process might be killed."""


class KillAt(Callback):
    """Ends the training after so many steps, as if the process had been killed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise Killed


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it is meant to be the same one
@pytest.mark.parametrize(("core", "step"), [("LSTM", 5), ("GRU", 6), ("Elman", 7), ("Foreign", 4)])
def test_a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_bits(tmp_path: Path, core: str, step: int) -> None:
    def train(*callbacks: Callback, resume: bool = False) -> tuple[Trainer, LanguageModel]:
        torch.manual_seed(1)
        task = grammar()
        model = model_of(core, spec=task.spec, dropout=0.4)
        saver = ModelCheckpoint(tmp_path, "last", every_n_train_steps=1, enable_version_counter=False)
        at = trainer(ExactResume(), saver, *callbacks, max_steps=11, enable_checkpointing=True)
        at.fit(model, task, ckpt_path=tmp_path / "last.ckpt" if resume else None)
        return at, model

    whole_trainer, whole = train()
    with pytest.raises(Killed):
        train(KillAt(step))
    resumed_trainer, resumed = train(resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    for ours, theirs in zip(*(
        [value for state in at.optimizers[0].state.values() for value in state.values()]
        for at in (whole_trainer, resumed_trainer)
    ), strict=True):  # fmt: skip
        assert torch.equal(ours, theirs)
    assert torch.equal(whole.epoch_sums, resumed.epoch_sums)
    figure = "train_epoch/loss"
    assert torch.equal(whole_trainer.callback_metrics[figure], resumed_trainer.callback_metrics[figure])


def test_a_second_fit_starts_without_the_state_of_the_first() -> None:
    task = grammar()
    model = model_of(spec=task.spec)
    trainer(max_steps=2).fit(model, task)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    batch = task.train_batch(0)
    seen: list[Tensor] = []

    class Look(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            seen.append(outputs["loss"].detach())

    trainer(Look(), max_steps=1).fit(model, task)
    model.load_state_dict(kept)
    total, _ = model.summed_loss(batch._replace(continues=False), "test")
    assert seen[0].item() == pytest.approx(total.item() / batch.targets.numel())


def test_a_checkpoint_holds_the_state_and_loads_safely(tmp_path: Path) -> None:
    task = grammar()
    model = model_of(spec=task.spec)
    at = trainer()
    at.fit(model, task)
    at.save_checkpoint(tmp_path / "model.ckpt")
    stored = torch.load(tmp_path / "model.ckpt", weights_only=True)[CHECKPOINT_KEY]
    (state,) = stored["train"]
    assert [tensor.shape for tensor in state] == [(2, 3, 6), (2, 3, 6)]
    assert TaskSpec.from_dict(stored["spec"]) == task.spec


def test_validation_uses_no_state_of_training_and_training_none_of_validation() -> None:
    def weights(**options: Any) -> dict[str, Tensor]:
        torch.manual_seed(2)
        task = grammar()
        model = model_of(spec=task.spec)
        trainer(**options).fit(model, task)
        return model.state_dict()

    alone = weights()
    watched = weights(limit_val_batches=1.0, val_check_interval=1, check_val_every_n_epoch=None)
    for name, value in alone.items():
        assert torch.equal(value, watched[name]), name


def test_dropout_is_for_training_only() -> None:
    model = model_of(dropout=0.5)
    inputs = torch.randint(0, 5, (2, 7))
    assert not torch.equal(model(inputs)[0], model(inputs)[0])
    model.eval()
    assert torch.equal(model(inputs)[0], model(inputs)[0])


def test_the_readout_can_start_as_told() -> None:
    model = model_of(readout_init=Normal(0.5))
    assert model.readout.weight.std().item() == pytest.approx(0.5, rel=0.4)
    assert not model.readout.bias.any()


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_outside_its_bounds_is_refused(dropout: float) -> None:
    with pytest.raises(UsageError, match="dropout must be at least 0 and below 1"):
        model_of(dropout=dropout)


def test_the_network_learns_a_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcab cabca bc " * 100)
    task = Text(str(tmp_path / "text.txt"), batch_size=4, sequence_length=15)
    model = LanguageModel(partial(GRU, hidden_size=16), task.spec, partial(Adam, lr=0.02))
    trainer(max_steps=150).fit(model, task)
    assert model.generate("abcab ", 24, temperature=0) == ("abcab cabca bc " * 2)[:30]


# Generation


def likeliest(model: LanguageModel, prefix: str, length: int) -> str:
    """Greedy continuation, reading the whole text anew for each character."""
    model.eval()
    vocabulary = SPEC.vocabulary
    assert vocabulary is not None
    symbols = vocabulary.encode(prefix).tolist()
    for _ in range(length):
        symbols.append(int(model(torch.tensor([symbols]))[0][0, -1].argmax()))
    return prefix + vocabulary.decode(symbols[len(prefix) :])


@pytest.mark.parametrize("core", CORES)
def test_temperature_0_takes_the_likeliest(core: str) -> None:
    model = model_of(core)
    with torch.no_grad():
        model.readout.bias.copy_(torch.tensor([-1.0, 0.0, 0.1, 0.2, 0.3]))
    assert model.generate("ab", 12, temperature=0) == likeliest(model, "ab", 12)


def test_the_draws_follow_the_softmax_of_the_logits_over_the_temperature() -> None:
    model = model_of()
    with torch.no_grad():
        model.readout.weight.zero_()  # the same chances at each step
        model.readout.bias.copy_(torch.tensor([-50.0, 1.0, 0.0, -1.0, 0.5]))
    text = model.generate("a", 4000, temperature=0.5, seed=3)[1:]
    chances = functional.softmax(model.readout.bias.detach() / 0.5, -1)[1:].tolist()
    for character, chance in zip("abc ", chances, strict=True):
        assert text.count(character) / 4000 == pytest.approx(chance, abs=4 * math.sqrt(chance / 4000))


def test_the_same_seed_gives_the_same_text_and_leaves_no_trace() -> None:
    model = model_of(dropout=0.5)
    numbers = torch.get_rng_state()
    first = model.generate("ab", 40, temperature=1, seed=5)
    assert model.generate("ab", 40, temperature=1, seed=5) == first
    assert model.generate("ab", 40, temperature=1, seed=6) != first
    assert torch.equal(torch.get_rng_state(), numbers)
    assert model.training
    assert not model.carried
    assert first.startswith("ab")


def test_unknown_characters_are_read_as_one_symbol_and_written_so() -> None:
    model = model_of()
    assert model.generate("X!", 8, seed=1)[2:] == model.generate("YZ", 8, seed=1)[2:]
    with torch.no_grad():
        model.readout.bias.copy_(torch.tensor([50.0, 0, 0, 0, 0]))
    assert model.generate("a", 2) == "a<unk><unk>"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"prefix": ""}, "prefix of at least one character"),
        ({"length": -1}, "length must be at least 0"),
        ({"temperature": -0.5}, r"temperature must be at least 0, got -0\.5"),
        ({"temperature": math.nan}, "temperature must be at least 0"),
        ({"temperature": math.inf}, "temperature must be at least 0"),
    ],
)
def test_what_cannot_be_generated_is_said(words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        model_of().generate(**{"prefix": "a", "length": 3, **words})


def test_a_network_without_a_vocabulary_generates_nothing() -> None:
    with pytest.raises(UsageError, match="not trained on text"):
        LanguageModel(CORES["GRU"], TaskSpec(3, 3), SGD).generate("a", 1)
