"""Validation sequences with the network's answers, as text."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.callbacks._monitor import log_text, takes_texts
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch

SHOWN_STEPS = 12
"""Number of scored steps of a sequence whose real values are written."""


def show_values(batch: Batch, answers: Tensor) -> list[str]:
    """Return one text per sequence with real targets: target and answer at the first scored steps, on aligned lines.

    Args:
        batch: The sequences.
        answers: The values that the network outputs, ``(sequences, time, outputs)``.

    Example:
        >>> batch = Batch(torch.zeros(1, 3, 1), torch.tensor([[[torch.nan], [0.5], [1.0]]]))
        >>> print(show_values(batch, torch.tensor([[[9.0], [0.25], [-1.0]]]))[0])
        step           1       2
        target     0.500   1.000
        answer     0.250  -1.000
    """
    texts = []
    for targets, outputs, scored in zip(batch.targets, answers, batch.scored, strict=True):
        steps = scored.nonzero()[:SHOWN_STEPS, 0]
        lines = ["step    " + "".join(f"{step:8}" for step in steps.tolist())]
        for name, values in (("target", targets[steps]), ("answer", outputs[steps])):
            lines += [f"{name:8}" + "".join(f"{value:8.3f}" for value in row) for row in values.T.tolist()]
        texts.append("\n".join(lines))
    return texts


class SampleMonitor(Callback):
    """Logs input, target and answer of the first validation sequences as the text ``samples``.

    For real targets it logs target and answer at the first scored steps, one line for each value of a step. For symbols
    without a printed form it logs nothing.

    Args:
        num_sequences: The number of sequences, ``>= 1``.
        every_n_validations: Validations between two samples, ``>= 1``; the first sample follows the first validation.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(self, num_sequences: int = 9, every_n_validations: int = 4) -> None:
        if num_sequences < 1 or every_n_validations < 1:
            raise UsageError(
                f"num_sequences and every_n_validations must be at least 1, got {num_sequences} and "
                f"{every_n_validations}"
            )
        self.num_sequences = num_sequences
        self.every_n_validations = every_n_validations
        self.validations = 0
        self.batch: Batch | None = None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0 and not trainer.sanity_checking:
            self.batch = batch.rows(0, self.num_sequences)

    @torch.no_grad()
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = getattr(trainer, "datamodule", None)
        if trainer.sanity_checking or self.batch is None or not takes_texts(trainer) or task is None:
            return
        is_due = self.validations % self.every_n_validations == 0
        self.validations += 1
        if is_due and trainer.is_global_zero:
            answers = pl_module.predict_step(self.batch, 0)
            texts = show_values(self.batch, answers) if task.spec.real_targets else task.show(self.batch, answers)
            if texts:
                log_text(trainer, "samples", "\n\n".join(texts))

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]
