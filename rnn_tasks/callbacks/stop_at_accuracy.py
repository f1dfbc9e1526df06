"""Stop when the task is solved."""

from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.errors import UsageError


class StopAtAccuracy(Callback):
    """Stops training when the validation accuracy reaches a threshold; the task says which accuracy counts.

    The task's ``solved`` is asked, for most tasks whether the accuracy of the worst condition is ``>= threshold``. A
    threshold above .99 trains a little past "solved".

    Args:
        threshold: Accuracy to reach, ``0 < threshold <= 1``.

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
            raise UsageError("StopAtAccuracy asks the task when to stop: give trainer.fit a datamodule that is a Task")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        solved = trainer.datamodule.solved(metrics, threshold=self.threshold)  # type: ignore[attr-defined]
        # Metrics are equal on all ranks, but a stop that only one of them takes would hang the others.
        if trainer.strategy.reduce_boolean_decision(solved, all=False):
            self.stopped = True
            trainer.should_stop = True
