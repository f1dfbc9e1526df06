"""A network that answers every step of a sequence with a symbol."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from rnn_tasks.cores import Core
from rnn_tasks.errors import UsageError
from rnn_tasks.models.recurrent_model import RecurrentModel, read_out
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec


class ConditionalLinear(nn.Module):
    """A linear readout with weights of its own for each condition.

    Args:
        in_features: Features that are read.
        out_features: Features that are given.
        num_conditions: Number of conditions.
    """

    def __init__(self, in_features: int, out_features: int, num_conditions: int) -> None:
        super().__init__()
        bound = in_features**-0.5
        self.weight = nn.Parameter(torch.empty(num_conditions, in_features, out_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_conditions, 1, out_features).uniform_(-bound, bound))

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """``(batch, time, in_features)`` and ``(batch,)`` to ``(batch, time, out_features)``."""
        return torch.baddbmm(self.bias[condition], hidden, self.weight[condition])

    def forward_shared(self, hidden: Tensor, condition: Tensor, row: Tensor) -> Tensor:
        """As ``forward(hidden[row], condition)``, with the states read for all conditions in one product.

        Args:
            hidden: ``(rows, time, in_features)``.
            condition: ``(batch,)``.
            row: The row of states of each of the batch, ``(batch,)``.

        Returns:
            ``(batch, time, out_features)``.
        """
        conditions, in_features, out_features = self.weight.shape
        turned = hidden.transpose(0, 1)  # as layers give them, and in order
        weight = self.weight.transpose(0, 1).reshape(in_features, conditions * out_features)
        every = torch.addmm(self.bias.flatten(), turned.reshape(-1, in_features), weight)
        chosen = every.view(len(turned), -1, out_features).index_select(1, row * conditions + condition)
        return chosen.transpose(0, 1)


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
        quiet_blank: Whether the input weights of the blank start at zero, so that waiting does not disturb the state.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Learning rate over optimizer steps; None for a constant one.
        lr_scheduler: One of torch's schedules, which go by epochs, instead.

    Raises:
        UsageError: A value outside its bounds, or a blank to quieten in a layer that names no input weights.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.tasks import Echo
        >>> model = SequenceTagger(partial(GRU, hidden_size=8), Echo(delay=2).spec, torch.optim.Adam)
        >>> len(model.respond("abacaba"))
        7
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        embedding_size: int | None = None,
        condition_at: Literal["input", "readout", "both"] = "input",
        quiet_blank: bool = False,
        recurrent_lr_factor: float = 1.0,
        input_lr_factor: float = 1.0,
        schedule: Callable[[Optimizer, int], Schedule] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        at_input = spec.num_conditions if condition_at in ("input", "both") else 0
        at_readout = spec.num_conditions if condition_at in ("readout", "both") else 0
        told_size = at_input if embedding_size is None or not at_input else embedding_size
        super().__init__(
            core,
            spec,
            optimizer,
            embedding_size,
            told_size,
            quiet_blank,
            recurrent_lr_factor,
            input_lr_factor,
            schedule,
            lr_scheduler,
        )
        self.condition_embedding = (
            nn.Embedding(spec.num_conditions, embedding_size) if embedding_size is not None and at_input else None
        )
        self.condition_at_input = bool(at_input)
        self.readout = (
            ConditionalLinear(self.core.hidden_size, spec.output_size, at_readout)
            if at_readout
            else nn.Linear(self.core.hidden_size, spec.output_size)
        )

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits of the symbols at every step.

        Args:
            inputs: Symbols, ``(batch, time)`` int64.
            condition: ``(batch,)`` int64, if the task has conditions.

        Returns:
            ``(batch, time, output_size)``.
        """
        hidden, _ = self.core(self.encode(inputs, condition))
        logits: Tensor = (
            read_out(self.readout, hidden) if isinstance(self.readout, nn.Linear) else self.readout(hidden, condition)
        )
        return logits

    def encode(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the layer reads, ``(batch, time, features)``; arguments as in :meth:`forward`."""
        encoded = self.encode_symbols(inputs)
        if not self.condition_at_input or condition is None:
            return encoded
        if self.condition_embedding is None:
            told = functional.one_hot(condition, self.spec.num_conditions).to(self.dtype)
        else:
            told = self.condition_embedding(condition)
        return torch.cat([encoded, told[:, None].expand(-1, inputs.shape[1], -1)], -1)

    @torch.no_grad()
    def respond(self, texts: str | Sequence[str], delay: int | None = None) -> str | list[str]:
        """The network's answers to strings, each as long as its input, empty where no answer is due.

        Args:
            texts: A string or several; for copy only the symbols, blanks and marker are added.
            delay: The delay, needed where the network was trained on several.

        Raises:
            UsageError: A letter outside the alphabet, an unknown delay, or a task without strings.
        """
        codec = self.spec.codec
        if codec is None:
            raise UsageError("this network's task has no strings to respond to")
        several = [texts] if isinstance(texts, str) else list(texts)
        batch = codec.encode(several, delay)
        training = self.training
        self.eval()
        condition = None if batch.condition is None else batch.condition.to(self.device)
        answers = self(batch.inputs.to(self.device), condition).argmax(-1).cpu()
        self.train(training)
        lines = codec.decode(answers.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED))
        lines = [line[:length] for line, length in zip(lines, codec.lengths(several, delay), strict=True)]
        return lines[0] if isinstance(texts, str) else lines

    def logits(self, batch: Batch, stage: str) -> Tensor:
        """Those of :meth:`forward`, in every stage.

        Where sequences follow one another that only the readout tells apart, the layer runs once for all of them.
        """
        inputs, condition, readout = batch.inputs, batch.condition, self.readout
        if isinstance(readout, ConditionalLinear) and condition is not None and self._reads_alike(inputs):
            different, row = torch.unique_consecutive(inputs, return_inverse=True, dim=0)
            hidden, _ = self.core(self.encode(different))
            return readout.forward_shared(hidden, condition, row)
        logits: Tensor = self(inputs, condition)
        return logits

    def _reads_alike(self, inputs: Tensor) -> bool:
        """Whether the layer reads the same for the first two sequences: then it may do so for others too."""
        return not self.condition_at_input and torch.equal(inputs[:1], inputs[1:2])
