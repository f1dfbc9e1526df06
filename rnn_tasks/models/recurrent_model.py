"""What every model has: a network, the loss of three stages, an optimizer with rates for parts of it, checkpoints."""

from abc import ABC
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from rnn_tasks.cores import State
from rnn_tasks.errors import UsageError, require
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.models.scores import Scores
from rnn_tasks.models.step_log import ends_logged_step, log_step
from rnn_tasks.networks import Network
from rnn_tasks.runs.record import run_record
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY, current_names
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch

ROLES = ("recurrent", "input", "rest")


class RecurrentModel(LightningModule, ABC):
    """Trains and measures a network with one loss: its mean over all scored steps of the global batch.

    So a sequence with few scored steps weighs as many steps as it has.

    Args:
        network: What is trained.
        optimizer: Makes the optimizer from parameter groups.
        recurrent_lr_factor: Factor on the rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the rate of the layer's input weights and biases, ``>= 0``.
        schedule: Makes a schedule over optimizer steps; None for a constant rate.
        lr_scheduler: One of torch's schedules over epochs instead.

    Attributes:
        network: The network.
        spec: The task's sizes and strings.
    """

    network: Network

    def __init__(
        self,
        network: Network,
        optimizer: OptimizerCallable,
        recurrent_lr_factor: float = 1.0,
        input_lr_factor: float = 1.0,
        schedule: Callable[[Optimizer, int], Schedule] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        for name, factor in {"recurrent_lr_factor": recurrent_lr_factor, "input_lr_factor": input_lr_factor}.items():
            require(factor >= 0, f"{name} must be at least 0, got {factor}")
        if schedule is not None and lr_scheduler is not None:
            raise UsageError("give a schedule (over optimizer steps) or an lr_scheduler (over epochs), not both")
        self.network = network
        self.spec = network.spec
        self.scores: nn.ModuleDict = nn.ModuleDict(
            {f"{stage}_scores": Scores(self.spec.num_conditions) for stage in ("train", "val", "test")}
        )
        self.make_optimizer = optimizer
        self.lr_factors = {"recurrent": recurrent_lr_factor, "input": input_lr_factor, "rest": 1.0}
        self.make_schedule = schedule
        self.make_lr_scheduler = lr_scheduler

    def forward(self, inputs: Tensor, condition: Tensor | None = None, state: State = None) -> tuple[Tensor, State]:
        """Logits and the last state, see :meth:`rnn_tasks.networks.Network.forward`."""
        outputs: tuple[Tensor, State] = self.network(inputs, condition, state)
        return outputs

    def logits(self, batch: Batch, stage: str) -> Tensor:
        """Logits of the symbols at every step, ``(sequences, time, output_size)``.

        Args:
            batch: The batch.
            stage: ``train``, ``val``, ``test`` or ``predict``.
        """
        logits: Tensor = self(batch.inputs, batch.padded_condition())[0]
        return logits[: batch.num_sequences]

    def measures(self, scores: dict[str, float]) -> dict[str, float]:
        """What is logged of a stage, by name, from its :class:`~rnn_tasks.models.Scores`."""
        return scores

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """What is logged of a baseline, to be drawn beside the measures of the same name."""
        return {"baseline_loss": baseline.loss, "baseline_accuracy": baseline.accuracy}

    def stage_scores(self, stage: str) -> Scores:
        """The scores that are being added up for ``train``, ``val`` or ``test``."""
        scores = self.scores[f"{stage}_scores"]
        assert isinstance(scores, Scores)
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss over the scored steps of the global batch."""
        total, logits = self.summed_loss(batch, "train")
        if ends_logged_step(self.trainer, batch_idx):
            self._add("train", total, logits, batch)
            self._log_scores("train")
        count = batch.scored.sum()
        if self.trainer.world_size > 1:
            # Lightning averages gradients over processes; what is wanted is the mean over all their steps together.
            count = self.trainer.strategy.reduce(count.float(), reduce_op="mean")
        return total / count

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation scores."""
        self._add("val", *self.summed_loss(batch, "val"), batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the test scores."""
        self._add("test", *self.summed_loss(batch, "test"), batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The network's symbols, ``(sequences, time)``."""
        return self.logits(batch, "predict").argmax(-1)

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the test scores."""
        self._log_scores("test")

    def summed_loss(self, batch: Batch, stage: str) -> tuple[Tensor, Tensor]:
        """Sum of the losses over the scored steps, and the logits."""
        logits = self.logits(batch, stage)
        # A sum in half precision would be off by a percent.
        flat = logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32))
        return functional.cross_entropy(flat, batch.targets.flatten(), ignore_index=NOT_SCORED, reduction="sum"), logits

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters as optimizer groups named ``recurrent``, ``input`` and ``rest``; empty ones are left out."""
        groups: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                inside = name.startswith("core.")
                role = self.network.core.parameter_role(name.removeprefix("core.")) if inside else "rest"
                groups[role].append(parameter)
        return [{"name": role, "params": parameters} for role, parameters in groups.items() if parameters]

    def configure_optimizers(self) -> Any:
        """The optimizer with its rates multiplied group by group, and the schedule."""
        optimizer = self.make_optimizer(self.parameter_groups())
        for group in optimizer.param_groups:
            group["lr"] *= self.lr_factors[group["name"]]
        if self.make_lr_scheduler is not None:
            scheduler = self.make_lr_scheduler(optimizer)
            # Lightning's own ReduceLROnPlateau knows what it watches; torch's others watch nothing.
            watched = {"monitor": scheduler.monitor} if isinstance(scheduler, ReduceLROnPlateau) else {}
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **watched}}
        if self.make_schedule is None:
            return optimizer
        total_steps = self.trainer.max_steps
        schedule = self.make_schedule(optimizer, total_steps if total_steps > 0 else 1)
        if schedule.needs_total_steps and total_steps < 1:
            raise UsageError(f"the schedule {type(schedule).__name__} needs an end: set trainer.max_steps")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build the network again without its task."""
        record = run_record(self.trainer)
        checkpoint[CHECKPOINT_KEY] = {
            "spec": self.spec.to_dict(),
            "config": None if record is None else record.model_hash,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the weights of a checkpoint of version 0.1.0 the names that they have now."""
        checkpoint["state_dict"] = current_names(checkpoint["state_dict"])

    def _add(self, stage: str, total: Tensor, logits: Tensor, batch: Batch) -> None:
        self.stage_scores(stage).update(total, logits.argmax(-1), batch)

    def _log_scores(self, stage: str) -> None:
        """Log the scores of a stage beside its baseline, and begin to add up anew."""
        scores = self.stage_scores(stage)
        values = self.measures(scores.compute())
        scores.reset()
        if stage == "train":
            values = {name: value for name, value in values.items() if not name.startswith("accuracy_at/")}
        task = getattr(self.trainer, "datamodule", None)
        if task is not None:
            baseline = task.baseline_on("val" if stage == "train" else stage)
            values["excess_loss"] = values["loss"] - baseline.loss
            values["loss_share"] = values["loss"] / baseline.loss
            if stage != "train":
                values |= self.baseline_measures(baseline)
        values = {f"{stage}/{name}": value for name, value in values.items()}
        if stage == "train":
            log_step(self, values, self.global_step)
        else:  # the scores are those of all processes already; without sync_dist Lightning would warn
            self.log_dict(values, batch_size=1, sync_dist=True)
