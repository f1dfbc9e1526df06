"""A model that predicts real values at every step of a sequence."""

from collections.abc import Callable
from typing import Literal

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import Metric

from rnn_tasks.cores import Core
from rnn_tasks.errors import require
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.models.scores import Errors
from rnn_tasks.networks import RegressorNetwork
from rnn_tasks.spec import Baseline, Batch, TaskSpec


class SequenceRegressor(RecurrentModel):
    """Encodes inputs, runs a recurrent layer and predicts real values at every step.

    The loss is the mean squared error over all scored steps of the batches of all processes, and over the values of a
    step. Metrics of each stage: ``loss`` and ``loss_share``, the loss as a share of the baseline's loss; if the
    baseline is the best constant, the share is also called the normalised mean squared error (NMSE).

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes of the task; on the command line given by the task.
        optimizer: Function that builds the optimizer from the parameters.
        embedding_size: Size of a learned embedding of input symbols; None for one-hot vectors or real features.
        condition_at: Where the network receives the condition, if the task has one: ``input``, ``readout`` or ``both``.
        zero_blank_weights: Whether the input weights of the blank start at zero, so that blanks add nothing to the
            state; no effect on real features.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Schedule of the learning rate over optimizer steps; None for a constant rate.
        lr_scheduler: Schedule of torch, which steps after each epoch, or after each validation if an epoch never ends;
            a ReduceLROnPlateau always steps after each validation. Give either this or ``schedule``.

    Raises:
        UsageError: A value is outside its bounds, or the targets of the task are symbols.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> from rnn_tasks.cores import GRU
        >>> spec = TaskSpec(2, 1, real_inputs=True, real_targets=True)
        >>> model = SequenceRegressor(partial(GRU, hidden_size=8), spec, torch.optim.Adam)
        >>> model(torch.rand(3, 5, 2))[0].shape
        torch.Size([3, 5, 1])
    """

    network_class = RegressorNetwork
    network: RegressorNetwork
    group_metric = "loss"
    length_metrics = ("loss",)

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        embedding_size: int | None = None,
        condition_at: Literal["input", "readout", "both"] = "input",
        zero_blank_weights: bool = False,
        recurrent_lr_factor: float = 1.0,
        input_lr_factor: float = 1.0,
        schedule: Callable[[Optimizer, int], Schedule] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        require(
            spec.real_targets,
            "SequenceRegressor needs a task with real targets; for targets that are symbols set model: SequenceTagger",
        )
        super().__init__(
            self.network_class(
                core,
                spec,
                embedding_size=embedding_size,
                condition_at=condition_at,
                zero_blank_weights=zero_blank_weights,
            ),
            optimizer,
            recurrent_lr_factor=recurrent_lr_factor,
            input_lr_factor=input_lr_factor,
            schedule=schedule,
            lr_scheduler=lr_scheduler,
        )

    def make_scores(self) -> Metric:
        """Return the metric that sums the squared errors of a stage."""
        return Errors()

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the outputs ``(..., output_size)``, which are the answers."""
        return outputs

    def step_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the summed squared error of outputs ``(steps, output_size)``, each step a mean over its values."""
        errors = outputs - targets.to(outputs.dtype)
        return errors.masked_fill(targets.isnan(), 0.0).square().mean(-1).sum()

    def step_scores(self, answers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the squared error of each step, ``(sequences, time)``, and the mask of the scored steps."""
        return (answers.float() - batch.targets.float()).square().mean(-1), batch.scored

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """Return the loss of the baseline by name, and the lowest possible loss if it is known."""
        values = super().baseline_measures(baseline)
        del values["baseline_accuracy"]
        return values
