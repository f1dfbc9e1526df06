"""A model that answers every step of a sequence with a symbol."""

from collections.abc import Callable, Sequence
from typing import Literal

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch.optim import Optimizer

from rnn_tasks.cores import Core
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.spec import TaskSpec


class SequenceTagger(RecurrentModel):
    """Encodes the symbols, runs a recurrent layer, reads out a symbol at every step.

    The loss is the mean of the cross-entropy over all scored steps of the global batch, so that a sequence with few
    scored steps weighs as many steps as it has.

    Args:
        core: The recurrent layer, made from the size of its input.
        spec: The task's sizes and strings; on the command line they come from the task.
        optimizer: The optimizer, made from the parameters.
        embedding_size: Size of a learned embedding of the symbols (and of one of the condition); None for one-hot.
        condition_at: Where the condition, if the task has one, enters: ``input`` (beside the symbol, at every step),
            ``readout`` (the condition chooses the readout's weights), or ``both``.
        zero_blank_weights: Whether the input weights of the blank start at zero: waiting then leaves the state alone.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Learning rate over optimizer steps; None for a constant one.
        lr_scheduler: One of torch's schedules, which go by epochs, instead.

    Raises:
        UsageError: A value outside its bounds, or a blank to quieten in a layer that names no input weights.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.tasks import Echo
        >>> model = SequenceTagger(partial(GRU, hidden_size=8), Echo(delay=2).spec, torch.optim.Adam)
        >>> len(model.respond("abacaba"))
        7
    """

    network_class = TaggerNetwork
    network: TaggerNetwork

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        embedding_size: int | None = None,
        condition_at: Literal["input", "readout", "both"] = "input",
        zero_blank_weights: bool = False,
        recurrent_lr_factor: float = 1.0,
        input_lr_factor: float = 1.0,
        schedule: Callable[[Optimizer, int], Schedule] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(
            self.network_class(
                core,
                spec,
                embedding_size=embedding_size,
                condition_at=condition_at,
                zero_blank_weights=zero_blank_weights,
            ),
            optimizer,
            recurrent_lr_factor=recurrent_lr_factor,
            input_lr_factor=input_lr_factor,
            schedule=schedule,
            lr_scheduler=lr_scheduler,
        )

    def respond(self, texts: str | Sequence[str], delay: int | None = None) -> str | list[str]:
        """The network's answers to strings, see :meth:`rnn_tasks.networks.TaggerNetwork.respond`."""
        return self.network.respond(texts, delay)
