"""The base class of models: losses and scores, optimizer with separate learning rates, contents of checkpoints."""

import math
import sys
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from rnn_tasks.cores import State
from rnn_tasks.cores.bounds import finite
from rnn_tasks.errors import UsageError, require
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.models.scores import GroupMeans, Scores
from rnn_tasks.models.step_log import ends_logged_step, log_step
from rnn_tasks.networks import Network
from rnn_tasks.runs.record import run_record
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY, current_names
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Plateau
from rnn_tasks.tasks import GeneratedTask, Task

ROLES = ("recurrent", "input", "rest")

FEW_SCORED = 0.25
"""If at most this share of the steps is scored, outputs are computed at these steps only."""


class RecurrentModel(LightningModule, ABC):
    """Base class of models, which train and evaluate a network.

    The loss is the mean over all scored steps of the batches of all processes: the cross-entropy, unless a model
    defines another loss. Every scored step has the same weight, so a sequence with few scored steps contributes less
    than a sequence with many.

    In the test, results are also sorted by the groups of the task, and measured at lengths beyond those of training.

    Args:
        network: The network to train.
        optimizer: Function that builds the optimizer from parameter groups.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Function that builds a schedule over optimizer steps; None for a constant rate.
        lr_scheduler: Function that builds a schedule of torch, which steps after each epoch, or after each validation
            if an epoch never ends; a ReduceLROnPlateau always steps after each validation. Give either this or
            ``schedule``.

    Attributes:
        network: The network.
        spec: Sizes of the task, and the conversion of its symbols to strings.
        lr: The learning rate before the factors. A callback may set it until training starts. Lightning's
            LearningRateFinder sets it after a test with the same rate for all parameters.
        memory_steps: The number of scored memory steps in the last evaluation of each stage (``train``, ``val``,
            ``test``), over all processes.

    Raises:
        UsageError: A factor is negative, the optimizer or the schedule rejects its arguments, or both kinds of schedule
            are given.
    """

    network: Network
    group_metric = "accuracy"
    length_metrics: tuple[str, ...] = ("loss", "accuracy", "exact_match")

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
            require(finite(factor, name) >= 0, f"{name} must be at least 0, got {factor}")
        if schedule is not None and lr_scheduler is not None:
            raise UsageError("set model.schedule (over optimizer steps) or model.lr_scheduler (over epochs), not both")
        self.network = network
        self.spec = network.spec
        self.scores: nn.ModuleDict = nn.ModuleDict(
            {f"{stage}_scores": self.make_scores() for stage in ("train", "val", "test")}
        )
        self.group_means: GroupMeans | None = None
        self.longer_scores: nn.ModuleList = nn.ModuleList()
        self.make_optimizer = optimizer
        self.lr_factors = {"recurrent": recurrent_lr_factor, "input": input_lr_factor, "rest": 1.0}
        self.make_schedule = schedule
        self.make_lr_scheduler = lr_scheduler
        self.memory_steps: dict[str, int] = {}
        self.lr = self.configured_lr = self._check_optimizer()

    @property
    def backbone(self) -> nn.Module:
        """The recurrent layer, which Lightning's BackboneFinetuning freezes for the first epochs."""
        return self.network.core

    def make_scores(self) -> Metric:
        """Return the metric that sums the results of a stage."""
        return Scores(self.spec.num_conditions)

    def forward(
        self, inputs: Tensor, condition: Tensor | None = None, state: State = None, scored: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Return outputs and the last state, see :meth:`rnn_tasks.networks.Network.forward`."""
        if scored is not None:
            return self.network(inputs, condition, state, scored)  # type: ignore[no-any-return]
        outputs: tuple[Tensor, State] = self.network(inputs, condition, state)
        return outputs

    def outputs(self, batch: Batch, stage: str, scored: Tensor | None = None) -> Tensor:
        """Return the outputs of the network, such as logits of symbols.

        Args:
            batch: The batch.
            stage: ``train``, ``val``, ``test`` or ``predict``.
            scored: The steps whose outputs are needed, ``(sequences, time)`` bool; None for all steps.

        Returns:
            ``(sequences, time, output_size)``, or ``(scored steps, output_size)`` if ``scored`` is given.
        """
        outputs: Tensor = self(batch.inputs, batch.padded_condition(), scored=scored)[0]
        return outputs if scored is not None else outputs[: batch.num_sequences]

    def answers(self, outputs: Tensor) -> Tensor:
        """Return the answers of outputs ``(..., output_size)``: the symbols with the largest logits, ``(...)``."""
        return outputs.argmax(-1)

    def step_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the summed loss of outputs ``(steps, output_size)``, without the steps that are not scored.

        Args:
            outputs: The outputs.
            targets: The targets of the same steps, ``(steps,)``.
        """
        return functional.cross_entropy(outputs, targets, ignore_index=NOT_SCORED, reduction="sum")

    def step_scores(self, answers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the value of ``group_metric`` at each step, and the mask of the steps that count, for groups.

        Args:
            answers: The answers at all scored steps, ``(sequences, time)``.
            batch: The batch.
        """
        return answers == batch.targets, batch.needs_memory

    def measures(self, scores: dict[str, float]) -> dict[str, float]:
        """Return the metrics of a stage by name, computed from its :class:`~rnn_tasks.models.Scores`."""
        return scores

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """Return the metrics of a baseline by name, ``baseline_`` and the name of the model's metric."""
        values = {"baseline_loss": baseline.loss, "baseline_accuracy": baseline.accuracy}
        return values if baseline.floor is None else {**values, "floor": baseline.floor}

    def plateau_measures(self, plateaus: Sequence[Plateau]) -> dict[str, float]:
        """Return the scores of plateaus and references by name, such as ``plateau_loss/knows_one_of_two``."""
        values: dict[str, float] = {}
        for plateau in plateaus:
            name = plateau.name.replace(" ", "_")
            for metric, value in (("loss", plateau.loss), ("accuracy", plateau.accuracy)):
                values |= {} if value is None else {f"{plateau.kind}_{metric}/{name}": value}
        return values

    def stage_scores(self, stage: str) -> Metric:
        """Return the scores of the stage ``train``, ``val`` or ``test``, to which each batch is added."""
        scores = self.scores[f"{stage}_scores"]
        assert isinstance(scores, Metric)
        return scores

    def setup(self, stage: str) -> None:
        """Fail early if the task cannot be learnt or tested; prepare the measurement of groups and longer lengths."""
        task = getattr(self.trainer, "datamodule", None)
        if isinstance(task, GeneratedTask):
            require(
                task.baseline.loss > 0,
                f"with these options of {type(task).__name__}, all answers are the same: there is nothing to learn",
            )
            _ = task.longer_tests  # a length that is not possible raises
        if stage == "test" and isinstance(task, Task):
            self.group_means = None if task.grouping is None else GroupMeans(task.grouping.size)
            self.longer_scores = nn.ModuleList(self.make_scores() for _ in task.longer_tests)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean loss over the scored steps of the batches of all processes."""
        total, logits = self.summed_loss(batch, "train")
        if ends_logged_step(self.trainer, batch_idx):
            self._update_scores("train", total, logits, batch)
            self._log_scores("train")
        count = batch.scored.sum()
        if self.trainer.world_size > 1:
            # Lightning averages the gradients of the processes. Dividing by the mean count makes that average the
            # gradient of the mean over the steps of all processes.
            count = self.trainer.strategy.reduce(count.float(), reduce_op="mean")
        return total / count.clamp(min=1)  # a batch without scored steps has a loss of 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation scores."""
        self._update_scores("val", *self.summed_loss(batch, "val"), batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add a batch to the test scores, or to the scores of a longer length."""
        total, outputs = self.summed_loss(batch, "test")
        answers = self._answers_of_steps(outputs, batch)
        if dataloader_idx:
            self.longer_scores[dataloader_idx - 1].update(total, answers, batch)  # type: ignore[operator]
            return
        self.stage_scores("test").update(total, answers, batch)
        if self.group_means is not None and batch.group is not None:
            values, counted = self.step_scores(answers, batch)
            self.group_means.update(values, counted, batch.group)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the answers at all steps, ``(sequences, time)``."""
        return self.answers(self.outputs(batch, "predict"))

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores; step the schedules that count validations."""
        values = self._log_scores("val")
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._step_lr_scheduler(values)

    def on_test_epoch_end(self) -> None:
        """Log the test scores, and those of groups and longer lengths."""
        self._log_scores("test")
        values = {f"test/{name}": value for name, value in {**self._group_values(), **self._length_values()}.items()}
        self.log_dict(values, batch_size=1, sync_dist=True)

    def summed_loss(self, batch: Batch, stage: str) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses over the scored steps, and the outputs.

        Returns:
            The sum, and the outputs of all steps, ``(sequences, time, output_size)``; if few steps are scored, the
            outputs of these steps only, ``(scored steps, output_size)``.
        """
        scored = batch.scored
        few = batch.conditions_per_input == 1 and bool(scored.sum() <= FEW_SCORED * scored.numel())
        outputs = self.outputs(batch, stage, scored if few else None)
        targets = batch.targets[scored] if few else batch.targets.flatten(0, 1)
        flat = outputs if few else outputs.flatten(0, 1)
        # A sum in half precision would have an error of about 1 %.
        return self.step_losses(flat.to(torch.promote_types(flat.dtype, torch.float32)), targets), outputs

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trainable parameters in groups ``recurrent``, ``input`` and ``rest``, without empty groups."""
        groups: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                groups[self.network.parameter_role(name)].append(parameter)
        return [{"name": role, "params": parameters} for role, parameters in groups.items() if parameters]

    def configure_optimizers(self) -> Any:
        """Return the optimizer, with a learning rate for each parameter group, and the schedule."""
        optimizer = self.make_optimizer(self.parameter_groups())
        self.configured_lr = self.lr
        for group in optimizer.param_groups:
            group["lr"] = self.lr * self.lr_factors[group["name"]]
        if self.make_lr_scheduler is not None:
            scheduler = self.make_lr_scheduler(optimizer)
            if not isinstance(scheduler, ReduceLROnPlateau):
                return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler}}
            # Lightning would step it after the checkpoint of the validation was saved, so a run could not be resumed
            # exactly. With this frequency Lightning never steps it; on_validation_epoch_end does.
            never = {"interval": "step", "frequency": sys.maxsize, "monitor": monitored(scheduler)}
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **never}}
        if self.make_schedule is None:
            return optimizer
        total_steps = self.trainer.max_steps
        schedule = self.make_schedule(optimizer, total_steps if total_steps > 0 else 1)
        if schedule.needs_total_steps and total_steps < 1:
            raise UsageError(
                f"the schedule {type(schedule).__name__} needs the number of steps of the run: set trainer.max_steps"
            )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Build the optimizer again if a callback, such as LearningRateFinder, has set another learning rate."""
        if self.lr != self.configured_lr:
            self.trainer.strategy.setup_optimizers(self.trainer)

    def on_train_epoch_start(self) -> None:
        """Fail early if the learning rate would never change although it has a schedule."""
        if self.make_lr_scheduler is not None and self._epoch_never_ends() and not self.trainer.enable_validation:
            raise UsageError(
                "model.lr_scheduler steps after each epoch or validation, but this run has neither: use "
                "model.schedule, or set trainer.limit_train_batches to the batches of an epoch"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the spec of the task and the hash of the model's config, which loading the network needs."""
        record = run_record(self.trainer)
        checkpoint[CHECKPOINT_KEY] = {
            "spec": self.spec.to_dict(),
            "config": None if record is None else record.model_hash,
            "optimizers": [type(optimizer).__name__ for optimizer in self.trainer.optimizers],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Rename the weights of a checkpoint of version 0.1.0 to their current names."""
        checkpoint["state_dict"] = current_names(checkpoint["state_dict"])

    def _update_scores(self, stage: str, total: Tensor, outputs: Tensor, batch: Batch) -> None:
        self.stage_scores(stage).update(total, self._answers_of_steps(outputs, batch), batch)

    def _answers_of_steps(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the answers ``(sequences, time)`` of the outputs of all steps, or of the scored steps."""
        answers = self.answers(outputs)
        if outputs.dim() == 3:
            return answers
        steps = torch.zeros_like(batch.targets, dtype=answers.dtype)
        steps[batch.scored] = answers
        return steps

    def _group_values(self) -> dict[str, float]:
        """Return score and number of steps of each group, such as ``accuracy_by_lag/3``, and reset the groups."""
        task = getattr(self.trainer, "datamodule", None)
        if self.group_means is None or task is None or task.grouping is None:
            return {}
        means = self.group_means.compute()
        self.group_means.reset()
        name = task.grouping.name
        values = {f"{self.group_metric}_by_{name}/{group}": mean for group, (mean, _) in means.items()}
        return values | {f"steps_by_{name}/{group}": float(steps) for group, (_, steps) in means.items()}

    def _length_values(self) -> dict[str, float]:
        """Return the scores and the baseline of each longer length, and reset the scores."""
        task = getattr(self.trainer, "datamodule", None)
        values: dict[str, float] = {}
        for (length, longer), scores in zip(task.longer_tests.items() if task else (), self.longer_scores, strict=True):
            computed: dict[str, float] = scores.compute()  # type: ignore[operator]
            scores.reset()  # type: ignore[operator]
            known = {name: computed[name] for name in self.length_metrics} | self.baseline_measures(longer.baseline)
            values |= {f"{name}_by_length/{length}": value for name, value in known.items()}
        return values

    def _check_optimizer(self) -> float:
        """Build the optimizer and the schedule once, so that wrong arguments are reported early; return the rate."""
        part = "optimizer"
        try:
            optimizer = self.make_optimizer(self.parameter_groups())
            rate: float = optimizer.param_groups[0]["lr"]
            if self.make_schedule is not None:
                part = "schedule"
                self.make_schedule(optimizer, 1)
            if self.make_lr_scheduler is not None:
                part = "lr_scheduler"
                scheduler = self.make_lr_scheduler(optimizer)
                if isinstance(scheduler, ReduceLROnPlateau):
                    monitored(scheduler)
        except Exception as error:  # an optimizer or a schedule of another package may raise anything
            raise UsageError(f"model.{part}: {error}") from error
        return rate

    def _epoch_never_ends(self) -> bool:
        return self.trainer.num_training_batches == math.inf

    def _step_lr_scheduler(self, values: Mapping[str, float]) -> None:
        """Step the schedule of torch after a validation, if it counts validations.

        Args:
            values: The metrics of the validation by name.
        """
        for config in self.trainer.lr_scheduler_configs:
            scheduler: Any = config.scheduler
            if isinstance(scheduler, ReduceLROnPlateau):
                name = monitored(scheduler)
                if name not in values:
                    raise UsageError(f"model.lr_scheduler: no metric {name}; set monitor to one of {', '.join(values)}")
                scheduler.step(values[name])
            elif config.interval == "epoch" and self._epoch_never_ends():
                scheduler.step()

    def _log_scores(self, stage: str) -> dict[str, float]:
        """Log the scores of a stage and its baseline, and reset the scores; return the logged values by name."""
        scores = self.stage_scores(stage)
        computed = scores.compute()
        self.memory_steps[stage] = int(computed.pop("memory_steps", 0))
        values = self.measures(computed)
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
            if stage == "val":
                values |= self.plateau_measures(task.plateaus)
        values = {f"{stage}/{name}": value for name, value in values.items()}
        if stage == "train":
            log_step(self, values, self.global_step)
        else:  # the scores already cover all processes; sync_dist only avoids a warning of Lightning
            self.log_dict(values, batch_size=1, sync_dist=True)
        return values


def monitored(scheduler: ReduceLROnPlateau) -> str:
    """Return the metric of a validation that a schedule monitors; ``val/loss`` for a class of torch, which names none.

    Raises:
        UsageError: The metric is not a metric of the validation.
    """
    name = str(getattr(scheduler, "monitor", "val/loss"))
    require(name.startswith("val/"), f"monitor must be a metric of the validation, such as val/loss; got {name}")
    return name
