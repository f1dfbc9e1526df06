"""A model that outputs a symbol at every step of a sequence."""

from collections.abc import Callable, Sequence
from typing import Literal

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch.optim import Optimizer

from rnn_tasks.cores import Core
from rnn_tasks.errors import require
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.spec import TaskSpec


class SequenceTagger(RecurrentModel):
    """Encodes symbols, runs a recurrent layer and predicts a symbol at every step.

    The loss is the mean cross-entropy over all scored steps of the batches of all processes. Every scored step has the
    same weight, so a sequence with few scored steps contributes less than a sequence with many.

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes of the task, and the conversion of its symbols to strings; on the command line given by the task.
        optimizer: Function that builds the optimizer from the parameters.
        embedding_size: Size of a learned embedding of the symbols, and of another one of the condition; None for
            one-hot vectors.
        condition_at: Where the network receives the condition, if the task has one: ``input`` (with the symbol, at
            every step), ``readout`` (the condition selects the weights of the readout), or ``both``.
        zero_blank_weights: Whether the input weights of the blank start at zero, so that blanks add nothing to the
            state.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Schedule of the learning rate over optimizer steps; None for a constant rate.
        lr_scheduler: Schedule of torch, which steps after each epoch, or after each validation if an epoch never ends;
            a ReduceLROnPlateau always steps after each validation. Give either this or ``schedule``.

    Raises:
        UsageError: A value is outside its bounds, the task is on text or has real targets, or ``zero_blank_weights`` is
            set and the input weights of the layer are unknown.

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
        require(
            spec.vocabulary is None,
            "SequenceTagger needs a task on sequences; for a task on text set model: LanguageModel",
        )
        require(
            not spec.real_targets,
            "SequenceTagger needs targets that are symbols; for real targets set model: SequenceRegressor",
        )
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
        """Return the network's answers to strings, see :meth:`rnn_tasks.networks.TaggerNetwork.respond`."""
        return self.network.respond(texts, delay)
