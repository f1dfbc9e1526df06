"""The interface of all tasks."""

import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.stream import Stream


class Task(LightningDataModule, ABC):
    """Base class of tasks: the data, its sizes, the baseline that a network must beat, and when the task is solved."""

    @property
    @abstractmethod
    def spec(self) -> TaskSpec:
        """The sizes and strings that a model is built from, available as soon as the task is constructed."""

    @property
    @abstractmethod
    def baseline(self) -> Baseline:
        """The test score of a predictor that knows the timing of the task and nothing else."""

    def baseline_on(self, split: str) -> Baseline:
        """Return the baseline on a split; the same as ``baseline`` unless a task overrides this method.

        Args:
            split: ``val`` or ``test``.
        """
        return self.baseline

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The scores of partial solutions and other references, which are shown beside the baseline."""
        return ()

    @property
    def grouping(self) -> Grouping | None:
        """The meaning of ``Batch.group`` in the test; None without groups. Groups do not decide when it is solved."""
        return None

    @property
    def longer_tests(self) -> "dict[int, Task]":
        """This task with longer sequences, by length, for tests beyond the lengths of training."""
        return {}

    def __str__(self) -> str:
        """Return the name of the class; Lightning would list the data loaders, and cannot describe a ``Batch``."""
        return type(self).__name__

    @property
    def name(self) -> str:  # type: ignore[override]  # Lightning defines this attribute and does not use it
        """The class name in snake case, used in the names of the config and of the run folder.

        Example:
            >>> from rnn_tasks.tasks import VariableDelayEcho
            >>> VariableDelayEcho().name
            'variable_delay_echo'
        """
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def world(self) -> tuple[int, int]:
        """The rank of this process, and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def local_rows(self, size: int) -> slice:
        """Return the rows of a global batch of ``size`` sequences that belong to this process.

        Raises:
            UsageError: There are fewer rows than processes.
        """
        rank, world_size = self.world
        require(
            size >= world_size,
            f"a batch of {size} sequences cannot be split over {world_size} processes: use fewer devices, or more "
            "sequences in every training, validation and test batch",
        )
        return slice(rank * size // world_size, (rank + 1) * size // world_size)

    def adapt_to(self, spec: TaskSpec, for_training: bool = False) -> TaskSpec:
        """Check that the symbols of a trained network mean the same in this task.

        The lengths and delays of this task may be others, so that a network can be measured on them.

        Args:
            spec: The spec from which the network was built.
            for_training: Whether the network continues its training, or is only evaluated.

        Returns:
            The spec from which to build the network, which is this task's to continue the training, else that of the
            network.

        Raises:
            UsageError: A symbol or a condition means something else, or is unknown to the network.
        """
        difference = self.spec.difference_from(spec)
        if for_training and difference is None and self.spec.num_conditions != spec.num_conditions:
            difference = f"{spec.num_conditions} delays, not {self.spec.num_conditions}"
        if difference is not None:
            raise UsageError(
                f"the network was trained on other data: {difference}; use the options of data in the config.yaml of "
                "its run"
            )
        return self.spec if for_training else spec

    @property
    def epoch_batches(self) -> int | None:
        """Number of training batches per epoch; None for an endless epoch."""
        return None

    def setup(self, stage: str) -> None:
        """Run the checks of :meth:`check` before a training."""
        if stage == "fit":
            self.check()

    def check(self) -> None:
        """Fail early if a split cannot yield a batch, or the run would never end.

        Raises:
            UsageError: A split is too short for one batch, or the trainer counts epochs although an epoch has no end.
        """
        trainer = self.trainer
        if trainer is None or self.epoch_batches is not None or isinstance(trainer.limit_train_batches, int):
            return
        advice = "set trainer.limit_train_batches to a number of batches, or data.epoch_sequences if the task has it"
        require(
            trainer.limit_train_batches == 1.0,
            f"a share of the training data ({trainer.limit_train_batches}) needs epochs with an end: {advice}",
        )
        interval = getattr(trainer, "val_check_interval", None)  # None: at times, not after batches
        require(
            not isinstance(interval, float) or interval == 1.0,
            f"val_check_interval {interval} is a share of an epoch, which has no end: set it to a number of batches; "
            f"or {advice}",
        )
        ends = trainer.max_steps != -1 or any(isinstance(callback, Timer) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        require(
            ends or trainer.max_epochs in (None, -1),
            f"max_epochs {trainer.max_epochs} would never be reached, since an epoch of this task has no end: set "
            f"trainer.max_steps; or {advice}",
        )

    def trained_batches(self) -> int:
        """Return the number of batches that the trainer has trained on, over all epochs."""
        if self.trainer is None:
            return 0
        total = self.trainer.fit_loop.epoch_loop.batch_progress.total
        return total.processed  # type: ignore[attr-defined,no-any-return]  # Lightning annotates a base class

    def training_stream(self, batch: Callable[[int], Batch]) -> Stream:
        """Return the training batches from the first one that the trainer has not trained on.

        ``limit_train_batches`` cuts the epochs: each begins at the start of its data, and an endless stream continues.
        With ``overfit_batches``, all epochs are the same first batches.

        Args:
            batch: Returns the batch with a number, counted over all uncut epochs.
        """
        trainer, epoch_batches = self.trainer, self.epoch_batches
        limit = 1.0 if trainer is None else trainer.limit_train_batches
        length: int | None
        if isinstance(limit, int):
            length = limit if epoch_batches is None else min(limit, epoch_batches)
        else:
            length = None if epoch_batches is None else int(limit * epoch_batches)  # rounded as by Lightning
        if length is None:
            return Stream(batch, self.trained_batches)
        overfits = trainer is not None and trainer.overfit_batches > 0  # type: ignore[attr-defined]

        def batch_of_cut_epoch(index: int) -> Batch:
            epoch, position = divmod(index, length)
            return batch(position if overfits else epoch * (epoch_batches or length) + position)

        return Stream(batch_of_cut_epoch, self.trained_batches, length)

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Return whether the task is solved, according to the metrics of a stage.

        Args:
            metrics: Metrics by name, including ``<stage>/worst_accuracy`` or, for real values, ``<stage>/loss_share``.
            stage: ``val`` or ``test``.
            threshold: Accuracy that the worst condition must reach. For real values, the error must be at most
                ``1 - threshold`` of the error of the baseline.
        """
        if self.spec.real_targets:
            return metrics.get(f"{stage}/loss_share", math.inf) <= 1 - threshold
        return metrics.get(f"{stage}/worst_accuracy", 0.0) >= threshold

    def show(self, batch: Batch, answers: Tensor) -> list[str]:
        """Return one text per sequence, with the input, the target and the network's answer on three aligned lines.

        Args:
            batch: The sequences.
            answers: The symbols that the network outputs, ``(batch, time)``.

        Returns:
            The texts; empty for a task without a codec.
        """
        codec = self.spec.codec
        if codec is None:
            return []
        batch = batch.expanded()
        # The inputs are not trimmed: at the step where one sequence has padding, a longer one may have its cue.
        inputs, targets = codec.decode(batch.inputs), codec.decode_outputs(batch.targets)
        shown = codec.decode_outputs(answers.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED))
        delays = batch.condition.tolist() if batch.condition is not None else None
        texts = []
        for row, (source, target, answer) in enumerate(zip(inputs, targets, shown, strict=True)):
            lines = [f"input   {source}", f"target  {target}", f"answer  {answer}"]
            if delays:
                lines.insert(0, f"delay   {delays[row]}")
            texts.append("\n".join(line.rstrip() for line in lines))
        return texts


@rank_zero_only
def notify(message: str) -> None:
    """Print a note on stderr, in the first process only."""
    print(f"note: {message}", file=sys.stderr, flush=True)
