import math
from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor
from torch.optim import Adam

from rnn_tasks.cores import Core
from rnn_tasks.models import SequenceTagger
from rnn_tasks.networks.sequence_network import ConditionAt
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks import Echo, GeneratedTask, VariableDelayEcho
from tests.helpers.networks import CONDITION_AT, CORES, ELMAN, TASKS


def tagger(task: str = "variable_delay_echo", core: Callable[[int], Core] = ELMAN, **options: Any) -> SequenceTagger:
    return SequenceTagger(core, TASKS[task].spec, partial(Adam, lr=0.02), **options)


def trainer(**options: Any) -> Trainer:
    """Return a trainer without loggers and checkpoints."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(**{**settings, **options})


def without_logging(model: SequenceTagger) -> SequenceTagger:
    """Attach a trainer that logs no training step, so that ``training_step`` can be called."""
    model.trainer = trainer(log_every_n_steps=0)
    return model


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> float:
    """Return the mean loss over the scored steps, computed by NumPy."""
    values, symbols = logits.detach().double().numpy(), targets.numpy()
    losses = []
    for row, step in zip(*np.nonzero(symbols != NOT_SCORED), strict=True):
        scores = values[row, step]
        losses.append(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[symbols[row, step]])
    return float(np.mean(losses))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("core", CORES)
def test_loss_is_the_mean_cross_entropy_of_scored_steps(task: str, core: str) -> None:
    model = without_logging(tagger(task, CORES[core]))
    batch = TASKS[task].train_batch(0)
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(mean_cross_entropy(model(batch.inputs, batch.condition)[0], batch.targets))


def test_gradients_equal_those_of_a_loop_over_letters() -> None:
    model = without_logging(tagger(condition_at="both").double())
    batch = TASKS["variable_delay_echo"].train_batch(0)
    assert batch.condition is not None
    model.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    weights = {name: p.detach().clone().requires_grad_() for name, p in model.network.named_parameters()}
    losses = []
    for letters, targets, condition in zip(batch.inputs, batch.targets, batch.condition, strict=True):
        hidden = torch.zeros(6, dtype=torch.double)
        for letter, target in zip(letters, targets, strict=True):
            column = weights["core.weight_ih_l0"][:, letter] + weights["core.weight_ih_l0"][:, 6 + condition]
            bias = weights["core.bias_ih_l0"] + weights["core.bias_hh_l0"]
            hidden = torch.tanh(column + bias + weights["core.weight_hh_l0"] @ hidden)
            if target != NOT_SCORED:
                logits = hidden @ weights["readout.weight"][condition] + weights["readout.bias"][condition, 0]
                losses.append(logits.logsumexp(0) - logits[target])
    expected = torch.autograd.grad(torch.stack(losses).mean(), list(weights.values()))
    for (name, parameter), gradient in zip(model.network.named_parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-12, rtol=1e-9, msg=name)


def test_two_processes_have_the_mean_loss_of_all_steps() -> None:
    """Lightning averages over processes, whose batches may have different numbers of scored steps."""
    model = without_logging(tagger())
    batch = TASKS["variable_delay_echo"].train_batch(0)
    order = batch.scored.sum(1).argsort()
    assert batch.condition is not None
    batch = Batch(batch.inputs[order], batch.targets[order], condition=batch.condition[order])
    whole = model.training_step(batch, 0)
    halves = [batch.rows(0, 64), batch.rows(64, 128)]
    counts = torch.stack([half.scored.sum() for half in halves]).float()
    assert counts[0] != counts[1]

    def reduce(own: Tensor, reduce_op: str) -> Tensor:
        assert own in counts
        return {"mean": counts.mean(), "sum": counts.sum()}[reduce_op]

    no_logging = {"log_every_n_steps": 0, "global_step": 0, "accumulate_grad_batches": 1}
    two_processes = SimpleNamespace(world_size=2, strategy=SimpleNamespace(reduce=reduce), **no_logging)
    model.trainer = cast(Trainer, two_processes)
    losses = torch.stack([model.training_step(half, 0) for half in halves])
    torch.testing.assert_close(losses.mean(), whole)
    assert not torch.allclose(model.training_step(halves[0], 0), whole)


def test_predict_step_returns_symbols_with_largest_logits() -> None:
    model, batch = tagger(), TASKS["variable_delay_echo"].train_batch(0)
    logits, _ = model(batch.inputs, batch.condition)
    predicted_logits = logits.gather(-1, model.predict_step(batch, 0)[..., None])
    assert (predicted_logits >= logits).all()


# Elman rejects an orthogonal map in bfloat16.
@pytest.mark.parametrize("core", [core for core in CORES if core != "matrix_exp"])
@pytest.mark.parametrize("condition_at", CONDITION_AT)
def test_loss_is_summed_in_full_precision_in_bfloat16(core: str, condition_at: ConditionAt) -> None:
    model = without_logging(tagger(core=CORES[core], condition_at=condition_at).to(torch.bfloat16))
    batch = TASKS["variable_delay_echo"].train_batch(0)
    logits, _ = model(batch.inputs, batch.condition)
    assert logits.dtype == torch.bfloat16
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(mean_cross_entropy(logits, batch.targets), rel=1e-4)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize(("every_delay", "val_sequences"), [(False, 50), (True, 50), (True, 52)])
def test_evaluation_logs_the_scores_of_the_whole_set(stage: str, every_delay: bool, val_sequences: int) -> None:
    task = VariableDelayEcho(
        max_delay=3,
        sequence_length=7,
        alphabet_size=5,
        val_sequences=val_sequences,
        test_sequences=60,
        eval_batch_size=16,
        every_delay=every_delay,
    )
    model = tagger(condition_at="readout")
    evaluate = trainer().validate if stage == "val" else trainer().test
    (metrics,) = evaluate(model, task, verbose=False)
    batches = [batch.expanded() for batch in (task.val_dataloader() if stage == "val" else task.predict_dataloader())]
    with torch.no_grad():
        logits = torch.cat([model(batch.inputs, batch.condition)[0] for batch in batches])
    targets = torch.cat([batch.targets for batch in batches])
    delays = torch.arange(len(targets)) % 4
    correct, scored = logits.argmax(-1) == targets, targets != NOT_SCORED
    by_delay = [correct[(delays == d)][scored[delays == d]].float().mean().item() for d in range(4)]
    loss = mean_cross_entropy(logits, targets)
    expected = {
        "loss": loss,
        "accuracy": correct[scored].float().mean().item(),
        "worst_accuracy": min(by_delay),
        "exact_match": (correct | ~scored).all(1).float().mean().item(),
        "excess_loss": loss - task.baseline.loss,
        "loss_share": loss / task.baseline.loss,
        "baseline_loss": task.baseline.loss,
        "baseline_accuracy": task.baseline.accuracy,
        **{f"accuracy_at/{delay}": accuracy for delay, accuracy in enumerate(by_delay)},
    }
    assert metrics == pytest.approx({f"{stage}/{name}": value for name, value in expected.items()}, rel=1e-5)


class LastSymbol(GeneratedTask):
    """Say the first symbol again at the last step; sequences of 8 to 10 steps, groups by length."""

    spec = TaskSpec(4, 3, blank=3)
    baseline = Baseline(math.log(3), 1 / 3, floor=0.0)
    plateaus = (Plateau("knows that it is not 2", math.log(2), 1 / 2),)
    grouping = Grouping("length", 11)
    longest = 10

    def at_length(self, length: int) -> "LastSymbol":
        return self.changed(longest=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        first = torch.randint(0, 3, (num_sequences,), generator=generator)
        lengths = self.longest - torch.arange(num_sequences) % 3
        inputs = torch.full((num_sequences, self.longest), 3)
        inputs[:, 0] = first
        targets = torch.full_like(inputs, NOT_SCORED)
        targets[torch.arange(num_sequences), lengths - 1] = first
        return Batch(inputs, targets, group=lengths[:, None])


def test_loss_of_few_scored_steps_equals_that_of_all_outputs() -> None:
    task = LastSymbol()
    model = SequenceTagger(ELMAN, task.spec, partial(Adam, lr=0.02)).double()
    batch = task.train_batch(0)
    total, outputs = model.summed_loss(batch, "train")
    logits = model(batch.inputs)[0]
    assert outputs.shape == (int(batch.scored.sum()), 3)  # one scored step of ten: only these are read out
    torch.testing.assert_close(outputs, logits[batch.scored])
    assert total.item() / len(outputs) == pytest.approx(mean_cross_entropy(logits, batch.targets))


def test_test_logs_groups_and_longer_lengths() -> None:
    task = LastSymbol(test_sequences=31, eval_batch_size=8, eval_lengths=[20, 14], length_sequences=9)
    model = SequenceTagger(ELMAN, task.spec, partial(Adam, lr=0.02))
    trainer().test(model, task, verbose=False)
    metrics = {name: float(value) for name, value in model.trainer.callback_metrics.items()}

    def correct(batches: Iterable[Batch]) -> list[tuple[int, bool]]:
        """Return the length of each sequence, and whether its only answer is correct."""
        pairs = []
        for batch in batches:
            answers = model(batch.inputs)[0].argmax(-1)
            for row, step in batch.scored.nonzero().tolist():
                pairs.append((step + 1, bool(answers[row, step] == batch.targets[row, step])))
        return pairs

    own = correct(task.predict_dataloader())
    assert metrics["test/accuracy"] == pytest.approx(np.mean([right for _, right in own]))
    for length in (8, 9, 10):
        expected = np.mean([right for steps, right in own if steps == length])
        assert metrics[f"test/accuracy_by_length/{length}"] == pytest.approx(expected)
    for length, longer in task.longer_tests.items():
        share = np.mean([right for _, right in correct(longer.predict_dataloader())])
        assert metrics[f"test/accuracy_by_length/{length}"] == pytest.approx(share)
        assert metrics[f"test/exact_match_by_length/{length}"] == pytest.approx(share)
        assert metrics[f"test/baseline_accuracy_by_length/{length}"] == pytest.approx(1 / 3)


def test_validation_logs_plateaus_and_floor_but_no_groups() -> None:
    task = LastSymbol(val_sequences=10, eval_lengths=[20])
    model = SequenceTagger(ELMAN, task.spec, partial(Adam, lr=0.02))
    (metrics,) = trainer().validate(model, task, verbose=False)
    assert metrics["val/plateau_loss/knows_that_it_is_not_2"] == pytest.approx(math.log(2))
    assert metrics["val/plateau_accuracy/knows_that_it_is_not_2"] == pytest.approx(1 / 2)
    assert metrics["val/floor"] == 0.0
    assert not [name for name in metrics if "_by_" in name]


def test_evaluation_logs_no_baseline_without_a_task() -> None:
    (metrics,) = trainer().validate(tagger(), TASKS["variable_delay_echo"].val_dataloader(), verbose=False)
    assert "val/loss" in metrics
    assert not {"val/excess_loss", "val/loss_share"} & set(metrics)


def test_training_logs_the_loss_of_the_logged_batch() -> None:
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5)
    model = SequenceTagger(ELMAN, task.spec, partial(Adam, lr=0.0))
    fit_trainer = trainer(max_steps=2, log_every_n_steps=1, limit_val_batches=0)
    batch = task.train_batch(1)
    expected = mean_cross_entropy(model(batch.inputs, batch.condition)[0], batch.targets)
    fit_trainer.fit(model, task)
    assert fit_trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-5)
    assert not [name for name in fit_trainer.callback_metrics if "accuracy_at" in name]


class MemoryLogger(DummyLogger):
    """A logger that keeps the metrics of each step in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:  # type: ignore[override]
        self.logged.setdefault(step, {}).update(metrics)


@pytest.mark.parametrize(("accumulated", "batches"), [(1, [1, 3]), (2, [3, 7])])
def test_training_logs_every_nth_optimizer_step(accumulated: int, batches: list[int]) -> None:
    """If a step accumulates several batches, the scores of its last batch are logged."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5)
    model, logger = SequenceTagger(ELMAN, task.spec, partial(Adam, lr=0.0)), MemoryLogger()
    trainer(
        logger=logger, max_steps=5, log_every_n_steps=2, limit_val_batches=0, accumulate_grad_batches=accumulated
    ).fit(model, task)
    logged = {step: values["train/loss"] for step, values in logger.logged.items() if "train/loss" in values}
    expected = []
    for index in batches:
        batch = task.train_batch(index)
        expected.append(mean_cross_entropy(model(batch.inputs, batch.condition)[0], batch.targets))
    assert list(logged) == [1, 3]
    assert list(logged.values()) == pytest.approx(expected, rel=1e-5)
    assert logger.logged[1].keys() >= {"train/loss", "train/accuracy", "train/excess_loss", "train/loss_share"}
    assert "train/baseline_loss" not in logger.logged[1]


@pytest.mark.parametrize("condition_at", CONDITION_AT)
def test_training_step_equals_that_of_the_expanded_batch(condition_at: ConditionAt) -> None:
    """With ``every_delay`` a batch holds each string once and one row of targets for each delay."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5, batch_size=12, every_delay=True)
    model, batch = without_logging(tagger(condition_at=condition_at).double()), task.train_batch(0)
    assert (len(batch.inputs), batch.num_sequences) == (3, 12)
    weights = list(model.parameters())
    losses = [model.training_step(form, 0) for form in (batch, batch.expanded())]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-12, rtol=0)
    gradients = [torch.autograd.grad(loss, weights) for loss in losses]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-11, rtol=0)
    assert torch.equal(model.predict_step(batch, 0), model.predict_step(batch.expanded(), 0))


def test_respond_calls_the_network() -> None:
    model = tagger()
    for texts in ("abcde", ["ab", "edcba"]):
        assert model.respond(texts, delay=1) == model.network.respond(texts, delay=1)
    assert model.training


@pytest.mark.parametrize("core", ["Elman", "GRU"])
def test_short_training_beats_the_baseline(core: str) -> None:
    task = Echo(delay=1, sequence_length=8, min_eval_length=8, max_eval_length=10, alphabet_size=3, val_sequences=100)
    layer = cast(Callable[[int], Core], partial(CORES[core].func, hidden_size=32))  # type: ignore[attr-defined]
    model = SequenceTagger(layer, task.spec, partial(Adam, lr=0.03))
    before = trainer().validate(model, task, verbose=False)[0]
    assert before["val/loss_share"] > 0.95
    trainer(max_steps=40, limit_val_batches=0).fit(model, task)
    after = trainer().validate(model, task, verbose=False)[0]
    assert after["val/loss_share"] < 0.5
    assert after["val/accuracy"] > 2 * task.baseline.accuracy


@pytest.mark.parametrize("condition_at", CONDITION_AT)
@pytest.mark.parametrize("size", [1, 3, 4, 6, 8])
def test_logits_equal_those_of_the_expanded_batch(size: int, condition_at: Any) -> None:
    """The last string of a batch has fewer conditions if the batch size is not a multiple of their number."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5, every_delay=True, batch_size=size)
    model, batch = tagger(condition_at=condition_at).double(), task.train_batch(0)
    assert batch.conditions_per_input == 4
    expected = model.outputs(batch.expanded(), "train")
    logits = model.outputs(batch, "train")
    torch.testing.assert_close(logits, expected, atol=1e-12, rtol=0)
    weights, scale = list(model.parameters()), torch.linspace(-1, 1, logits.numel()).view_as(logits)
    for gradient, expected_gradient in zip(
        torch.autograd.grad((logits * scale).sum(), weights, allow_unused=True),
        torch.autograd.grad((expected * scale).sum(), weights, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected_gradient, atol=1e-11, rtol=0)
