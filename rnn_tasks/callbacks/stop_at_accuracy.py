"""Stop when the task is solved."""

from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.errors import UsageError


class StopAtAccuracy(Callback):
    """Stops training when the validation accuracy reaches a threshold.

    The task's method ``solved`` defines the accuracy that counts, for most tasks that of the worst condition. With a
    threshold above 0.99, training continues a little after the task is solved.

    Args:
        threshold: Accuracy at which training stops, ``0 < threshold <= 1``.

    Attributes:
        stopped: Whether this callback has stopped the run.

    Raises:
        UsageError: A threshold outside its bounds, or a run without a task.
    """

    def __init__(self, threshold: float = 0.99) -> None:
        if not 0 < threshold <= 1:
            raise UsageError(f"threshold must be above 0 and at most 1, got {threshold}")
        self.threshold = threshold
        self.stopped = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stopped = False
        if not hasattr(getattr(trainer, "datamodule", None), "solved"):
            raise UsageError("StopAtAccuracy needs a task: give trainer.fit a datamodule with a method solved")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        solved = trainer.datamodule.solved(metrics, threshold=self.threshold)  # type: ignore[attr-defined]
        # Metrics should be equal on all ranks; if only one rank stopped, the others would hang.
        if trainer.strategy.reduce_boolean_decision(solved, all=False):
            self.stopped = True
            trainer.should_stop = True
