from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError
from rnn_tasks.models import SequenceRegressor, SequenceTagger
from rnn_tasks.spec import Baseline, Batch, Grouping, TaskSpec
from rnn_tasks.tasks import Echo, GeneratedTask


class LastSum(GeneratedTask):
    """The sum of all features at the last step, and another value that is their difference; group = length."""

    spec = TaskSpec(2, 2, real_inputs=True, real_targets=True)
    baseline = Baseline(0.5)
    grouping = Grouping("length", 9)

    def __init__(self, longest: int = 8, scored_steps: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.longest = longest
        self.scored_steps = scored_steps

    def at_length(self, length: int) -> "LastSum":
        return self.changed(longest=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        inputs = torch.rand(num_sequences, self.longest, 2, generator=generator)
        lengths = self.longest - torch.arange(num_sequences) % 3
        steps = torch.arange(self.longest)
        scored = (steps < lengths[:, None]) & (steps >= lengths[:, None] - self.scored_steps)
        sums = inputs.cumsum(1)
        values = torch.stack([sums.sum(-1), sums[..., 0] - sums[..., 1]], -1)
        return Batch(inputs, values.masked_fill(~scored[..., None], torch.nan), group=lengths[:, None])


def model_for(task: GeneratedTask, **options: Any) -> SequenceRegressor:
    return SequenceRegressor(partial(GRU, hidden_size=6), task.spec, torch.optim.Adam, **options)


def squared_errors(model: SequenceRegressor, batch: Batch) -> list[list[float]]:
    """Return the squared errors of the scored steps of each sequence, computed step by step."""
    outputs = model(batch.inputs)[0]
    errors = []
    for row in range(len(batch.targets)):
        steps = [step for step in range(batch.targets.shape[1]) if not batch.targets[row, step].isnan().any()]
        errors.append([(outputs[row, t] - batch.targets[row, t]).square().mean().item() for t in steps])
    return errors


def mean(values: list[list[float]]) -> float:
    flat = [value for row in values for value in row]
    return sum(flat) / len(flat)


@pytest.mark.parametrize("scored_steps", [1, 5])
def test_loss_is_the_mean_squared_error_of_scored_steps(scored_steps: int) -> None:
    task = LastSum(scored_steps=scored_steps)
    model, batch = model_for(task), task.train_batch(0)
    total, outputs = model.summed_loss(batch, "train")
    assert outputs.dim() == (2 if scored_steps == 1 else 3)  # few scored steps are read out alone
    assert (total / batch.scored.sum()).item() == pytest.approx(mean(squared_errors(model, batch)), rel=1e-5)


@pytest.mark.parametrize("scored_steps", [1, 5])
def test_gradient_equals_that_of_the_scored_steps(scored_steps: int) -> None:
    task = LastSum(scored_steps=scored_steps)
    model, batch = model_for(task).double(), task.train_batch(0)
    model.summed_loss(batch, "train")[0].backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    scored = batch.scored
    errors = model(batch.inputs)[0][scored] - batch.targets[scored].double()
    errors.square().mean(-1).sum().backward()
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


@pytest.mark.parametrize("scored_steps", [1, 5])
def test_test_logs_loss_groups_and_longer_lengths(scored_steps: int) -> None:
    task = LastSum(scored_steps=scored_steps, test_sequences=30, eval_batch_size=7, eval_lengths=[12, 10])
    model = model_for(task)
    Trainer(accelerator="cpu", logger=False, enable_progress_bar=False).test(model, task, verbose=False)
    metrics = {name: float(value) for name, value in model.trainer.callback_metrics.items()}
    whole = task.sample(30, "test", torch.Generator())
    batches = list(task.predict_dataloader())
    errors = [row for batch in batches for row in squared_errors(model, batch)]
    assert metrics["test/loss"] == pytest.approx(mean(errors), rel=1e-5)
    assert metrics["test/loss_share"] == pytest.approx(mean(errors) / 0.5, rel=1e-5)
    assert whole.group is not None
    lengths = torch.cat([batch.group for batch in batches if batch.group is not None]).flatten().tolist()
    for length in (6, 7, 8):
        of_length = [row for row, own in zip(errors, lengths, strict=True) if own == length]
        assert metrics[f"test/loss_by_length/{length}"] == pytest.approx(mean(of_length), rel=1e-5)
    for length, longer in task.longer_tests.items():
        of_length = [row for batch in longer.predict_dataloader() for row in squared_errors(model, batch)]
        assert len(of_length) == 250
        assert metrics[f"test/loss_by_length/{length}"] == pytest.approx(mean(of_length), rel=1e-4)
        assert metrics[f"test/baseline_loss_by_length/{length}"] == 0.5
    assert not any("accuracy" in name for name in metrics)


def test_prediction_is_the_output_at_all_steps() -> None:
    task = LastSum()
    model, batch = model_for(task), task.train_batch(0)
    prediction: Tensor = model.predict_step(batch, 0)
    torch.testing.assert_close(prediction, model(batch.inputs)[0])


def test_run_is_solved_at_one_percent_of_the_baseline() -> None:
    assert LastSum().solved({"val/loss_share": 0.0099})
    assert not LastSum().solved({"val/loss_share": 0.0101})
    assert not LastSum().solved({"val/loss_share": 0.005}, threshold=0.998)
    assert not LastSum().solved({})


def test_embedding_of_real_inputs_raises() -> None:
    with pytest.raises(UsageError, match="set embedding_size to null, got 4"):
        model_for(LastSum(), embedding_size=4)


def test_targets_of_the_other_kind_raise() -> None:
    with pytest.raises(UsageError, match="set model: SequenceTagger"):
        model_for(Echo())
    with pytest.raises(UsageError, match="set model: SequenceRegressor"):
        SequenceTagger(partial(GRU, hidden_size=6), LastSum().spec, torch.optim.Adam)
