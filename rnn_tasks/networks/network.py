"""The base class of networks: an encoding of inputs, a recurrent layer and a readout."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import Core, State
from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec import TaskSpec


class Network(nn.Module, ABC):
    """Base class of networks that encode inputs, run a recurrent layer and compute outputs at every step.

    Inputs are symbols, or real features that the layer reads unchanged. Outputs are logits of symbols, or real values.

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes of the task, and the conversion of its symbols to strings.
        embedding_size: Size of a learned embedding of the symbols, ``>= 1``; None for one-hot vectors or real features.
        extra_input_size: Number of features that the layer reads in addition to the input.
        zero_blank_weights: Whether the input weights of the blank start at zero.

    Attributes:
        core: The recurrent layer.
        readout: Maps the layer's output at a step to the network's output.

    Raises:
        UsageError: A value is outside its bounds, inputs with an embedding are real, or ``zero_blank_weights`` is set
            and the input weights of the layer are unknown.
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
        require(
            embedding_size is None or not spec.real_inputs,
            f"the inputs of this task are real numbers, which have no embedding: set embedding_size to null, got "
            f"{embedding_size}",
        )
        self.spec = spec
        self.core = core((spec.input_size if embedding_size is None else embedding_size) + extra_input_size)
        self.symbol_embedding = None if embedding_size is None else nn.Embedding(spec.input_size, embedding_size)
        if zero_blank_weights and spec.blank is not None:
            self._zero_blank_weights(spec.blank)

    def forward(
        self, inputs: Tensor, condition: Tensor | None = None, state: State = None, scored: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Return outputs of sequences and the last state of the recurrent layer.

        Args:
            inputs: Symbols, ``(sequences, time)`` int64, or real features, ``(sequences, time, features)``.
            condition: ``(k * sequences,)`` int64 if the task has conditions: k conditions of the first sequence, then k
                of the second, and so on.
            state: The state that an earlier call returned; None for zeros.
            scored: The steps whose outputs are needed, ``(k * sequences, time)`` bool; None for all steps.

        Returns:
            Logits or real values ``(k * sequences, time, output_size)``, or ``(scored steps, output_size)`` if
            ``scored`` is given, and the state after the last step, attached to the graph.
        """
        hidden, state = self.core(self.encode(inputs, condition), state)
        return self.read_out(hidden, condition, scored), state

    def parameter_role(self, name: str) -> str:
        """Return the role of a parameter: ``recurrent`` or ``input`` for weights of the layer, otherwise ``rest``.

        Args:
            name: The parameter's name in ``named_parameters()``.
        """
        return self.core.parameter_role(name.removeprefix("core.")) if name.startswith("core.") else "rest"

    @abstractmethod
    def read_out(self, hidden: Tensor, condition: Tensor | None = None, scored: Tensor | None = None) -> Tensor:
        """Return the outputs of the network for outputs of the recurrent layer.

        Args:
            hidden: The outputs of the layer, ``(sequences, time, hidden_size)``.
            condition: As in :meth:`forward`.
            scored: As in :meth:`forward`.

        Returns:
            ``(k * sequences, time, output_size)``, or ``(scored steps, output_size)`` if ``scored`` is given.
        """

    def encode(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the input of the recurrent layer, ``(sequences, time, features)``; arguments as in :meth:`forward`."""
        return self.encode_inputs(inputs)

    def encode_inputs(self, inputs: Tensor) -> Tensor:
        """Return symbols as one-hot or embedded vectors, and real features unchanged, ``(..., time, features)``."""
        if self.spec.real_inputs:
            return inputs.to(self.dtype)
        if self.symbol_embedding is None:
            return functional.one_hot(inputs, self.spec.input_size).to(self.dtype)
        embedded: Tensor = self.symbol_embedding(inputs)
        return embedded

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.readout.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the weights."""
        return next(self.readout.parameters()).dtype

    @torch.no_grad()
    def _zero_blank_weights(self, blank: int) -> None:
        if self.symbol_embedding is not None:
            self.symbol_embedding.weight[blank] = 0
            return
        weights = self.core.input_weights()
        if not weights:
            raise UsageError(
                f"zero_blank_weights needs the input weights of the layer, and {type(self.core).__name__} names none"
            )
        for weight in weights:
            weight[..., blank] = 0


def linear_readout(readout: nn.Linear, hidden: Tensor, scored: Tensor | None = None) -> Tensor:
    """Return ``readout(hidden)`` without copying hidden states that are stored time first.

    Recurrent layers return a transposed view of a tensor ``(time, sequences, hidden_size)``. ``torch.nn.Linear`` would
    copy the view in the forward and in the backward pass.

    Args:
        readout: The linear layer.
        hidden: ``(sequences, time, hidden_size)``.
        scored: The steps whose outputs are needed, ``(sequences, time)`` bool; None for all steps.

    Returns:
        ``(sequences, time, output_size)``, or ``(scored steps, output_size)`` if ``scored`` is given.
    """
    if scored is not None:
        outputs: Tensor = readout(hidden[scored])
        return outputs
    time_first = hidden.transpose(0, 1)
    logits: Tensor = readout(time_first).transpose(0, 1) if time_first.is_contiguous() else readout(hidden)
    return logits
