"""The interface of all tasks."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping

from lightning.pytorch import LightningDataModule
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, TaskSpec


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

    def check(self) -> None:
        """Fail early if a split cannot yield a batch.

        Raises:
            UsageError: A split is too short for one batch.
        """

    def trained_batches(self) -> int:
        """Return the number of batches that the trainer has trained on, over all epochs."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.ready if self.trainer else 0

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Return whether the task is solved, according to the metrics of a stage.

        Args:
            metrics: Metrics by name, including ``<stage>/worst_accuracy``.
            stage: ``val`` or ``test``.
            threshold: Accuracy that the worst condition must reach.
        """
        return metrics.get(f"{stage}/worst_accuracy", 0.0) >= threshold

    def show(self, batch: Batch, answers: Tensor) -> list[str]:
        """Return one text per sequence, with the input, the target and the network's answer on three aligned lines.

        Args:
            batch: The sequences.
            answers: The symbols that the network answers, ``(batch, time)``.

        Returns:
            The texts; empty for a task without a codec.
        """
        codec = self.spec.codec
        if codec is None:
            return []
        batch = batch.expanded()
        # The inputs are not trimmed: at the step where one sequence has padding, a longer one may have its cue.
        inputs, targets = codec.decode(batch.inputs), codec.decode(batch.targets)
        shown = codec.decode(answers.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED))
        delays = batch.condition.tolist() if batch.condition is not None else None
        texts = []
        for row, (source, target, answer) in enumerate(zip(inputs, targets, shown, strict=True)):
            lines = [f"input   {source}", f"target  {target}", f"answer  {answer}"]
            if delays:
                lines.insert(0, f"delay   {delays[row]}")
            texts.append("\n".join(line.rstrip() for line in lines))
        return texts
