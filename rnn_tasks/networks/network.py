"""What every network has: an encoding of symbols, a recurrent layer, a readout."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import Core, State
from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec import TaskSpec


class Network(nn.Module, ABC):
    """Encodes symbols, runs a recurrent layer over them, reads out logits at every step.

    Args:
        core: Makes the layer from the size of its input.
        spec: The task's sizes and strings.
        embedding_size: Size of a learned embedding of the symbols, ``>= 1``; None for one-hot.
        extra_input_size: Features that the layer reads beside the symbol.
        zero_blank_weights: Whether the input weights of the blank start at zero.

    Attributes:
        core: The recurrent layer.
        readout: From the layer's output at a step to logits.

    Raises:
        UsageError: A value outside its bounds, or a blank to quieten in a layer that names no input weights.
    """

    readout: nn.Module

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        embedding_size: int | None = None,
        extra_input_size: int = 0,
        zero_blank_weights: bool = False,
    ) -> None:
        super().__init__()
        require(
            embedding_size is None or embedding_size >= 1, f"embedding_size must be at least 1, got {embedding_size}"
        )
        self.spec = spec
        self.core = core((spec.input_size if embedding_size is None else embedding_size) + extra_input_size)
        self.symbol_embedding = None if embedding_size is None else nn.Embedding(spec.input_size, embedding_size)
        if zero_blank_weights and spec.blank is not None:
            self._zero_blank_weights(spec.blank)

    def forward(self, inputs: Tensor, condition: Tensor | None = None, state: State = None) -> tuple[Tensor, State]:
        """Read sequences.

        Args:
            inputs: Symbols, ``(sequences, time)`` int64.
            condition: ``(k * sequences,)`` int64, if the task has conditions: k for each sequence, one after another.
            state: The layer's state before the first step, as an earlier call returned it; None for zeros.

        Returns:
            Logits ``(k * sequences, time, output_size)``, and the state after the last step, with its gradient.
        """
        hidden, state = self.core(self.encode(inputs, condition), state)
        return self.read_out(hidden, condition), state

    @abstractmethod
    def read_out(self, hidden: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits ``(k * sequences, time, output_size)`` of the layer's outputs ``(sequences, time, hidden_size)``.

        Args:
            hidden: The outputs.
            condition: As in :meth:`forward`.
        """

    def encode(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the layer reads, ``(sequences, time, features)``; arguments as in :meth:`forward`."""
        return self.encode_symbols(inputs)

    def encode_symbols(self, inputs: Tensor) -> Tensor:
        """Symbols ``(sequences, time)`` as one-hot or embedded vectors ``(sequences, time, features)``."""
        if self.symbol_embedding is None:
            return functional.one_hot(inputs, self.spec.input_size).to(self.dtype)
        embedded: Tensor = self.symbol_embedding(inputs)
        return embedded

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.readout.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.readout.parameters()).dtype

    @torch.no_grad()
    def _zero_blank_weights(self, blank: int) -> None:
        if self.symbol_embedding is not None:
            self.symbol_embedding.weight[blank] = 0
            return
        weights = self.core.input_weights()
        if not weights:
            raise UsageError("zero_blank_weights needs to know the layer's input weights, and it names none")
        for weight in weights:
            weight[..., blank] = 0


def read_linearly(readout: nn.Linear, hidden: Tensor) -> Tensor:
    """A linear readout of hidden states, which layers return as a view of ``(time, sequences, hidden_size)``.

    torch would copy what does not lie in order, forwards and backwards.

    Args:
        readout: Of one step.
        hidden: ``(sequences, time, hidden_size)``.

    Returns:
        ``(sequences, time, output_size)``.
    """
    time_first = hidden.transpose(0, 1)
    logits: Tensor = readout(time_first).transpose(0, 1) if time_first.is_contiguous() else readout(hidden)
    return logits
