"""The least that a training step can cost: a loop written by hand around the same model, data and constraint."""

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch.nn import functional

from rnn_tasks.callbacks.reorthogonalize import Reorthogonalize
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks.task import Task


class PlainLoop:
    """Trains a model on a task's batches, one after the other.

    Args:
        model: The model, whose ``configure_optimizers`` says how it is trained.
        task: Where the batches come from.
        clip: Norm that the gradient is clipped at; None for no clipping.
        constraint: What is done to the recurrent matrices after each step; None for nothing.
        half: Whether to compute in bfloat16, weights aside.
    """

    def __init__(
        self,
        model: RecurrentModel,
        task: Task,
        clip: float | None,
        constraint: Reorthogonalize | None = None,
        half: bool = False,
    ) -> None:
        self.model, self.clip, self.half = model, clip, half
        self.task = task
        self.batches = self.endless()
        self.parameters = list(model.parameters())
        found = model.configure_optimizers()
        self.optimizer: torch.optim.Optimizer = found["optimizer"] if isinstance(found, dict) else found
        schedule = found["lr_scheduler"] if isinstance(found, dict) else {}
        self.schedule = schedule["scheduler"] if schedule.get("interval") == "step" else None
        self.constraint = None
        if constraint is not None:
            self.constraint = Reorthogonalize(constraint.every_n_steps)
            self.constraint.weights = model.core.recurrent_weights()

    def endless(self) -> Iterator[Batch]:
        """The training batches in their order."""
        index = 0
        while True:
            yield self.task.train_batch(index)  # type: ignore[attr-defined]  # all tasks have it
            index += 1

    def __call__(self, steps: int) -> None:
        """Train for so many steps."""
        device = self.model.device
        for _ in range(steps):
            self.step(next(self.batches).to(device))

    def step(self, batch: Batch) -> None:
        """One step."""
        half = torch.autocast(self.model.device.type, torch.bfloat16) if self.half else nullcontext()
        with half:
            logits = self.model.logits(batch, "train").flatten(0, 1)
            loss = functional.cross_entropy(logits.float(), batch.targets.flatten(), ignore_index=NOT_SCORED)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.constraint is not None:
            self.constraint.count()
