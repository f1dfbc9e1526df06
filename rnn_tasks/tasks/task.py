"""What every task tells the rest of the package."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping

from lightning.pytorch import LightningDataModule
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, TaskSpec


class Task(LightningDataModule, ABC):
    """A task: its data, its sizes, what a network must beat, and when it is solved."""

    @property
    @abstractmethod
    def spec(self) -> TaskSpec:
        """The sizes and strings that a model is built from, known right after construction."""

    @property
    @abstractmethod
    def baseline(self) -> Baseline:
        """What a predictor scores that has learnt nothing but the timing, on the test set."""

    def baseline_on(self, split: str) -> Baseline:
        """What such a predictor scores on a split, where that differs.

        Args:
            split: ``val`` or ``test``.
        """
        return self.baseline

    @property
    def name(self) -> str:  # type: ignore[override]  # Lightning has an attribute of that name, and does not use it
        """The class name in snake case: the stem of the config and of the run folder.

        Example:
            >>> from rnn_tasks.tasks import VariableDelayEcho
            >>> VariableDelayEcho().name
            'variable_delay_echo'
        """
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def world(self) -> tuple[int, int]:
        """Rank of this process and number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def own_rows(self, size: int) -> slice:
        """Which rows of a global batch of ``size`` sequences belong to this process.

        Raises:
            UsageError: There are fewer rows than processes.
        """
        rank, world_size = self.world
        require(size >= world_size, f"a batch of {size} sequences cannot be split over {world_size} processes")
        return slice(rank * size // world_size, (rank + 1) * size // world_size)

    def check(self) -> None:
        """Look whether training, validation and test can be had, before a run begins.

        Raises:
            UsageError: Not even one batch can be made.
        """

    def trained_batches(self) -> int:
        """Number of batches that the trainer has trained on, over all epochs."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.ready if self.trainer else 0

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Whether the metrics of a stage say that the task is solved.

        Args:
            metrics: Metrics by name, ``<stage>/worst_accuracy`` among them.
            stage: The stage to look at.
            threshold: Accuracy that the worst condition must reach.
        """
        return metrics.get(f"{stage}/worst_accuracy", 0.0) >= threshold

    def show(self, batch: Batch, answers: Tensor) -> list[str]:
        """One text for each sequence of a batch: the input, its target, and the network's answer below one another.

        Args:
            batch: The sequences.
            answers: The network's symbols, ``(batch, time)``.
        """
        codec = self.spec.codec
        if codec is None:
            return []
        batch = batch.expanded()
        # The cue of a sequence may stand where a shorter one is padded, so all symbols are shown as they are.
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
