"""What every model has: a layer, the loss of the three stages, an optimizer with rates for parts of it, checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from rnn_tasks.cores import Core
from rnn_tasks.errors import UsageError
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.models.scores import Scores, Tally
from rnn_tasks.runs.trainer_facts import is_logged, publish
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, TaskSpec

CHECKPOINT_KEY = "rnn_tasks"
"""Where a checkpoint holds the task's sizes and the hash of the model section of config.yaml."""

ROLES = ("recurrent", "input", "rest")


class RecurrentModel(LightningModule, ABC):
    """Encodes symbols, trains and measures with one loss: its mean over all scored steps of the global batch.

    So a sequence with few scored steps weighs as many steps as it has.

    Args:
        core: Makes the layer from the size of its input.
        spec: The task's sizes and strings.
        optimizer: Makes the optimizer from parameter groups.
        embedding_size: Size of a learned embedding of the symbols; None for one-hot.
        told_size: Features that the layer reads beside the symbol.
        quiet_blank: Whether the input weights of the blank start at zero.
        recurrent_lr_factor: Factor on the rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the rate of the layer's input weights and biases, ``>= 0``.
        schedule: Makes a schedule over optimizer steps; None for a constant rate.
        lr_scheduler: One of torch's schedules over epochs instead.

    Attributes:
        core: The recurrent layer.
        config_hash: Hash of the section of config.yaml that this model was built from, set by the command line.
        counts: What the last training batch of this process had: ``scored`` steps.
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        embedding_size: int | None,
        told_size: int,
        quiet_blank: bool,
        recurrent_lr_factor: float,
        input_lr_factor: float,
        schedule: Callable[[Optimizer, int], Schedule] | None,
        lr_scheduler: LRSchedulerCallable | None,
    ) -> None:
        super().__init__()
        for name, factor in {"recurrent_lr_factor": recurrent_lr_factor, "input_lr_factor": input_lr_factor}.items():
            if factor < 0:
                raise UsageError(f"{name} must be at least 0, got {factor}")
        if schedule is not None and lr_scheduler is not None:
            raise UsageError("give a schedule (over optimizer steps) or an lr_scheduler (over epochs), not both")
        if embedding_size is not None and embedding_size < 1:
            raise UsageError(f"embedding_size must be at least 1, got {embedding_size}")
        self.spec = spec
        self.core = core((spec.input_size if embedding_size is None else embedding_size) + told_size)
        self.symbol_embedding = None if embedding_size is None else nn.Embedding(spec.input_size, embedding_size)
        if quiet_blank and spec.blank is not None:
            self._quieten(spec.blank)
        self.scores: nn.ModuleDict = nn.ModuleDict(
            {f"{stage}_scores": Scores(spec.num_conditions) for stage in ("train", "val", "test")}
        )
        self.make_optimizer = optimizer
        self.lr_factors = {"recurrent": recurrent_lr_factor, "input": input_lr_factor, "rest": 1.0}
        self.make_schedule = schedule
        self.make_lr_scheduler = lr_scheduler
        self.config_hash: str | None = None
        self.counts: dict[str, Tensor] = {}

    @abstractmethod
    def logits(self, batch: Batch, stage: str) -> Tensor:
        """Logits of the symbols at every step, ``(batch, time, output_size)``.

        Args:
            batch: The batch.
            stage: ``train``, ``val``, ``test`` or ``predict``.
        """

    def measures(self, scores: dict[str, float]) -> dict[str, float]:
        """What is logged of a stage, by name, from its :class:`~rnn_tasks.models.Scores`."""
        return scores

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """What is logged of a baseline, to be drawn beside the measures of the same name."""
        return {"baseline_loss": baseline.loss, "baseline_accuracy": baseline.accuracy}

    def encode_symbols(self, inputs: Tensor) -> Tensor:
        """Symbols ``(batch, time)`` as one-hot or embedded vectors ``(batch, time, features)``."""
        if self.symbol_embedding is None:
            return functional.one_hot(inputs, self.spec.input_size).to(self.dtype)
        embedded: Tensor = self.symbol_embedding(inputs)
        return embedded

    def stage_scores(self, stage: str) -> Scores:
        """The scores that are being added up for ``train``, ``val`` or ``test``."""
        scores = self.scores[f"{stage}_scores"]
        assert isinstance(scores, Scores)
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss over the scored steps of the global batch."""
        total, logits = self.summed_loss(batch, "train")
        if is_logged(self.trainer):
            self._log_scores("train", self._train_scores(total, logits.argmax(-1), batch))
        count = batch.scored.sum()
        self.count_step(total, count)
        if self.trainer.world_size > 1:
            # Lightning averages gradients over processes; what is wanted is the mean over all their steps together.
            count = self.trainer.strategy.reduce(count.float(), reduce_op="mean")
        return total / count

    def count_step(self, total: Tensor, scored: Tensor) -> None:
        """Take note of a training batch.

        Args:
            total: Sum of its losses.
            scored: Number of its scored steps.
        """
        self.counts["scored"] = scored

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation scores."""
        self._add("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the test scores."""
        self._add("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The network's symbols, ``(batch, time)``."""
        return self.logits(batch, "predict").argmax(-1)

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        self._finish("val")

    def on_test_epoch_end(self) -> None:
        """Log the test scores."""
        self._finish("test")

    def summed_loss(self, batch: Batch, stage: str) -> tuple[Tensor, Tensor]:
        """Sum of the losses over the scored steps, and the logits."""
        logits = self.logits(batch, stage)
        # A sum in half precision would be off by a percent.
        flat = logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32))
        return functional.cross_entropy(flat, batch.targets.flatten(), ignore_index=NOT_SCORED, reduction="sum"), logits

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters as optimizer groups named ``recurrent``, ``input`` and ``rest``; empty ones are left out."""
        groups: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                inside = name.startswith("core.")
                role = self.core.parameter_role(name.removeprefix("core.")) if inside else "rest"
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
        """Add what is needed to build the model again without its task."""
        checkpoint[CHECKPOINT_KEY] = {"spec": self.spec.to_dict(), "config": self.config_hash}

    def _add(self, stage: str, batch: Batch) -> None:
        total, logits = self.summed_loss(batch, stage)
        self.stage_scores(stage).update(total, logits.argmax(-1), batch)

    def _finish(self, stage: str) -> None:
        scores = self.stage_scores(stage)
        self._log_scores(stage, scores.compute())
        scores.reset()

    def _train_scores(self, total: Tensor, answers: Tensor, batch: Batch) -> dict[str, float]:
        if self.trainer.world_size == 1:  # as below, in a third of the time
            return Tally.of(total, answers, batch, self.spec.num_conditions).scores(self.spec.num_conditions)
        scores = self.stage_scores("train")
        scores.reset()
        scores.update(total, answers, batch)
        return scores.compute()

    def _log_scores(self, stage: str, scores: dict[str, float]) -> None:
        values = self.measures(scores)
        task = getattr(self.trainer, "datamodule", None)
        if task is not None:
            baseline = task.baseline_on("val" if stage == "train" else stage)
            values["excess_loss"] = values["loss"] - baseline.loss
            values["loss_share"] = values["loss"] / baseline.loss
            if stage != "train":
                values |= self.baseline_measures(baseline)
        if stage == "train":
            values = {name: value for name, value in values.items() if not name.startswith("accuracy_at/")}
        logged = {f"{stage}/{name}": value for name, value in values.items()}
        if self.trainer.state.fn == "fit":
            publish(self.trainer, logged)
        else:  # validate and test return what is logged; the scores are those of all processes already
            self.log_dict(logged, batch_size=1, sync_dist=True)

    @torch.no_grad()
    def _quieten(self, blank: int) -> None:
        if self.symbol_embedding is not None:
            self.symbol_embedding.weight[blank] = 0
            return
        weights = self.core.input_weights()
        if not weights:
            raise UsageError("quiet_blank needs to know the layer's input weights, and it names none")
        for weight in weights:
            weight[..., blank] = 0


def read_out(readout: nn.Module, hidden: Tensor) -> Tensor:
    """A linear readout of hidden states, which layers give as a turned view of ``(time, batch, hidden_size)``.

    torch would copy what does not lie in order, forwards and backwards.

    Args:
        readout: Of one step.
        hidden: ``(batch, time, hidden_size)``.

    Returns:
        ``(batch, time, output_size)``.
    """
    turned = hidden.transpose(0, 1)
    in_order: Tensor = readout(turned).transpose(0, 1) if turned.is_contiguous() else readout(hidden)
    return in_order
