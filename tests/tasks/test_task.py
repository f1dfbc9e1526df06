from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Baseline, Batch, TaskSpec
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar, Task, VariableDelayEcho
from rnn_tasks.tasks.copy import copy
from rnn_tasks.tasks.echo import echo


class NoCodec(Task):
    """A task whose sequences are not strings, so that its spec has no codec."""

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(2, 2)

    @property
    def baseline(self) -> Baseline:
        return Baseline(1.0, 0.5)


def lines(*texts: str) -> str:
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("task", "name"), [(Copy(), "copy"), (VariableDelayEcho(), "variable_delay_echo"), (NoCodec(), "no_codec")]
)
def test_name_is_the_class_name_in_snake_case(task: Task, name: str) -> None:
    assert task.name == name


@pytest.mark.parametrize(
    ("metrics", "solved"),
    [
        ({"val/worst_accuracy": 0.99}, True),
        ({"val/worst_accuracy": 0.9899, "val/accuracy": 1.0}, False),
        ({"test/worst_accuracy": 1.0}, False),
        ({}, False),
    ],
)
def test_task_is_solved_when_its_worst_condition_is(metrics: dict[str, float], solved: bool) -> None:
    assert Echo().solved(metrics) is solved


def test_solved_uses_stage_and_threshold() -> None:
    assert Echo().solved({"test/worst_accuracy": 0.5}, stage="test", threshold=0.5)
    assert not Echo().solved({"test/worst_accuracy": 0.5}, stage="test", threshold=0.51)


def test_show_aligns_input_target_and_answer() -> None:
    batch = Batch(*echo(torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]]), torch.tensor([2, 2]), torch.tensor([4, 3])))
    texts = Echo(delay=2).show(batch, torch.tensor([[9, 9, 1, 5], [9, 9, 4, 9]]))
    assert texts == [
        lines("input   abcd", "target    ab", "answer    ae"),
        lines("input   dcb", "target    d", "answer    d"),
    ]


def test_show_includes_the_delay_when_it_is_the_condition() -> None:
    batch = Batch(*echo(torch.tensor([[1, 2, 3]]), torch.tensor([1]), torch.tensor([3])), condition=torch.tensor([1]))
    (text,) = VariableDelayEcho().show(batch, torch.tensor([[3, 1, 1]]))
    assert text == lines("delay   1", "input   abc", "target   ab", "answer   aa")


@pytest.mark.parametrize(
    ("answers", "shown"), [([3, 3, 3, 3, 0, 1, 2], "answer      012"), ([0, 3, 3, 3, 3, 3, 1], "answer  0     1")]
)
def test_show_includes_answers_before_the_recall(answers: Sequence[int], shown: str) -> None:
    task = Copy(num_symbols=3, alphabet_size=3)
    batch = Batch(*copy(torch.tensor([[0, 1, 2]]), torch.tensor([1]), task.layout, task.blank, task.marker))
    (text,) = task.show(batch, torch.tensor([answers]))
    assert text == lines("input   012", "target      012", shown)


def test_show_is_empty_for_a_task_without_codec() -> None:
    assert NoCodec().show(Batch(torch.zeros(1, 2), torch.zeros(1, 2)), torch.zeros(1, 2)) == []


class Recorder(LightningModule):
    """A model of one weight that records what it reads, and the number of batches before each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[Batch] = []
        self.validations: list[int] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.batches.append(batch)
        return self.weight * 1

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validations.append(len(self.batches))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Killed(Exception):
    """Stands for the end of a process by a signal."""


class KillAt(Callback):
    """Raises Killed after a number of steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise Killed


def fit(task: Task, *callbacks: Callback, ckpt_path: Path | None = None, **options: Any) -> Recorder:
    """Train a recorder on a task."""
    recorder = Recorder()
    settings: dict[str, Any] = {"max_steps": 8, "num_sanity_val_steps": 0, "accelerator": "cpu", "logger": False}
    for name in ("checkpointing", "progress_bar", "model_summary"):
        settings[f"enable_{name}"] = False
    trainer = Trainer(callbacks=list(callbacks), **{**settings, **options})
    trainer.fit(recorder, task, ckpt_path=ckpt_path)
    return recorder


def grammar(**options: Any) -> ElmanGrammar:
    settings = {"batch_size": 2, "sequence_length": 4, "epoch_length": 5, "val_characters": 6, "eval_batch_size": 1}
    return ElmanGrammar(**{**settings, **options})


TASKS: dict[str, Callable[[], Echo | ElmanGrammar]] = {
    "endless": partial(Echo, batch_size=2, val_sequences=1),
    "epochs": partial(Echo, batch_size=2, val_sequences=1, epoch_sequences=10),
    "grammar": grammar,
    "text": partial(grammar, num_sentences=6, val_share=0.3, random_offset=True),
}


def have_numbers(batches: Sequence[Batch], task: Echo | ElmanGrammar, numbers: Sequence[int]) -> bool:
    """Return whether batches are those of a task with these numbers, counted over all uncut epochs."""
    pairs = zip(batches, numbers, strict=True)
    return all(torch.equal(batch.inputs, task.train_batch(number).inputs) for batch, number in pairs)


@pytest.mark.parametrize("name", TASKS)
def test_limited_epochs_start_at_the_start_of_their_data(name: str) -> None:
    task = TASKS[name]()
    length = task.epoch_batches
    assert length is None or length >= 5
    batches = fit(task, limit_train_batches=3).batches
    starts = (0, 3, 6) if length is None else (0, length, 2 * length)
    assert have_numbers(batches, TASKS[name](), [start + i for start in starts for i in range(3)][:8])
    continues = [name in ("grammar", "text") and index % 3 > 0 for index in range(8)]
    assert [batch.continues for batch in batches] == continues


def test_share_of_the_training_data_cuts_the_epochs() -> None:
    task = grammar()
    assert have_numbers(fit(task, limit_train_batches=0.5).batches, grammar(), [0, 1, 5, 6, 10, 11, 15, 16])


@pytest.mark.parametrize("name", TASKS)
def test_overfit_batches_repeats_the_first_batches(name: str) -> None:
    batches = fit(TASKS[name](), overfit_batches=2).batches
    assert have_numbers(batches, TASKS[name](), [0, 1] * 4)


@pytest.mark.parametrize("name", ["endless", "text"])
@pytest.mark.parametrize("interval", [1.0, 0.5, 2])
def test_validation_follows_limited_epochs(name: str, interval: float) -> None:
    recorder = fit(TASKS[name](), limit_train_batches=4, limit_val_batches=1, val_check_interval=interval)
    assert recorder.validations == ([4, 8] if interval == 1.0 else [2, 4, 6, 8])


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # both trainings write into the same folder
@pytest.mark.parametrize("step", range(1, 8))
@pytest.mark.parametrize("name", TASKS)
def test_killed_run_resumes_in_limited_epochs(name: str, step: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"limit_train_batches": 3, "limit_val_batches": 1}

    def run(*callbacks: Callback, ckpt_path: Path | None = None) -> list[Batch]:
        last = ModelCheckpoint(tmp_path, "last", every_n_train_steps=1, enable_version_counter=False)
        return fit(TASKS[name](), last, *callbacks, ckpt_path=ckpt_path, enable_checkpointing=True, **options).batches

    with pytest.raises(Killed):
        run(KillAt(step + 1))  # before the checkpoint of this step, so the last one is of the step before
    rest = run(ckpt_path=tmp_path / "last.ckpt")
    whole = fit(TASKS[name](), **options).batches
    assert len(rest) == 8 - step
    for batch, expected in zip(rest, whole[step:], strict=True):
        assert torch.equal(batch.inputs, expected.inputs)
        assert batch.continues == expected.continues


@pytest.mark.parametrize("name", TASKS)
def test_options_of_loaders_do_not_change_the_batches(name: str) -> None:
    plain = fit(TASKS[name](), limit_train_batches=3).batches
    options: dict[str, Any] = {"reload_dataloaders_every_n_epochs": 1, "use_distributed_sampler": False}
    other = fit(TASKS[name](), limit_train_batches=3, **options).batches
    assert all(torch.equal(one.inputs, two.inputs) for one, two in zip(plain, other, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": -1, "max_epochs": 3}, "max_epochs 3 would never be reached, since an epoch of this task has no"),
        (
            {"limit_train_batches": 0.5},
            r"a share of the training data \(0.5\) needs epochs with an end: set trainer.li",
        ),
        ({"overfit_batches": 0.1}, r"a share of the training data \(0.1\) needs epochs with an end"),
        (
            {"val_check_interval": 0.5},
            "val_check_interval 0.5 is a share of an epoch, which has no end: set it to a nu",
        ),
    ],
)
def test_options_that_count_epochs_raise_for_endless_epochs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(Echo(), **options)


@pytest.mark.parametrize(
    "options", [{"limit_train_batches": 2}, {"max_epochs": -1, "max_steps": 4}, {"max_time": {"seconds": 1}}]
)
def test_runs_on_endless_epochs_end(options: dict[str, Any]) -> None:
    assert fit(Echo(batch_size=1), **{"max_steps": -1, "max_epochs": 2, **options}).batches


def test_text_of_a_task_is_its_class() -> None:
    assert str(Echo()) == "Echo"
    assert str(grammar()) == "ElmanGrammar"


@pytest.mark.parametrize(
    ("task", "network", "message"),
    [
        (Echo(alphabet_size=10), Echo(), "letters 'abcdefghijklmnopqrstuvwxyz', not 'abcdefghij'"),
        (Copy(layout="exprnn"), Copy(layout="arjovsky"), "another layout of the inputs after the letters"),
        (Copy(layout="plain"), Copy(layout="recall"), "another layout of the inputs after the letters"),
        (Echo(), VariableDelayEcho(), "receives the delay"),
        (VariableDelayEcho(), Echo(), "does not receive the delay"),
        (VariableDelayEcho(max_delay=9), VariableDelayEcho(), "9 delays, not 10"),
        (NoCodec(), Echo(), "letters 'abcdefghijklmnopqrstuvwxyz'"),
        (Echo(), NoCodec(), "symbols without letters"),
        (Echo(), grammar(), "characters of a text, not symbols"),
    ],
)
@pytest.mark.parametrize("for_training", [False, True])
def test_network_of_other_symbols_raises(task: Task, network: Task, message: str, for_training: bool) -> None:
    with pytest.raises(UsageError) as error:
        task.adapt_to(network.spec, for_training)
    assert f"the network was trained on other data: {message}; use the options" in str(error.value)


@pytest.mark.parametrize(
    ("task", "network"),
    [
        (Echo(delay=9, sequence_length=40, max_eval_length=60), Echo()),
        (Copy(layout="recall", delay=30, num_symbols=4), Copy(layout="recall", num_symbols=10)),
        (VariableDelayEcho(max_delay=3), VariableDelayEcho()),
    ],
)
def test_network_is_evaluated_on_other_lengths_and_delays(task: Task, network: Task) -> None:
    assert task.adapt_to(network.spec) == network.spec
    if isinstance(task, VariableDelayEcho):
        with pytest.raises(UsageError, match="9 delays, not 4"):
            task.adapt_to(network.spec, for_training=True)
    else:
        assert task.adapt_to(network.spec, for_training=True) == task.spec
