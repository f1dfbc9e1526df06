"""A network that outputs a symbol or real values at every step of a sequence."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import Core
from rnn_tasks.networks.conditional_linear import ConditionalLinear
from rnn_tasks.networks.network import Network, linear_readout
from rnn_tasks.spec import TaskSpec

ConditionAt = Literal["input", "readout", "both"]


class SequenceNetwork(Network):
    """Encodes inputs and a condition, runs a recurrent layer and computes outputs at every step.

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes of the task, and the conversion of its symbols to strings.
        embedding_size: Size of a learned embedding of the symbols, and of another one of the condition; None for
            one-hot vectors or real features.
        condition_at: Where the network receives the condition, if the task has one: ``input`` (with the symbol, at
            every step), ``readout`` (the condition selects the weights of the readout), or ``both``.
        zero_blank_weights: Whether the input weights of the blank start at zero, so that blanks add nothing to the
            state.

    Raises:
        UsageError: A value is outside its bounds, inputs with an embedding are real, or ``zero_blank_weights`` is set
            and the input weights of the layer are unknown.
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        embedding_size: int | None = None,
        condition_at: ConditionAt = "input",
        zero_blank_weights: bool = False,
    ) -> None:
        input_conditions = spec.num_conditions if condition_at in ("input", "both") else 0
        readout_conditions = spec.num_conditions if condition_at in ("readout", "both") else 0
        extra_input_size = input_conditions if embedding_size is None or not input_conditions else embedding_size
        super().__init__(
            core,
            spec,
            embedding_size=embedding_size,
            extra_input_size=extra_input_size,
            zero_blank_weights=zero_blank_weights,
        )
        self.condition_embedding = (
            nn.Embedding(spec.num_conditions, embedding_size)
            if embedding_size is not None and input_conditions
            else None
        )
        self.condition_at_input = bool(input_conditions)
        self.readout = (
            ConditionalLinear(self.core.hidden_size, spec.output_size, readout_conditions)
            if readout_conditions
            else nn.Linear(self.core.hidden_size, spec.output_size)
        )

    def encode(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the input of the recurrent layer, ``(sequences, time, features)``; arguments as in :meth:`forward`.

        If the condition is part of the input, each sequence is repeated for each of its k conditions.
        """
        encoded = self.encode_inputs(inputs)
        if not self.condition_at_input or condition is None:
            return encoded
        if self.condition_embedding is None:
            encoded_condition = functional.one_hot(condition, self.spec.num_conditions).to(self.dtype)
        else:
            encoded_condition = self.condition_embedding(condition)
        if condition.shape[0] > inputs.shape[0]:
            encoded = encoded.repeat_interleave(len(condition) // len(inputs), 0)
        return torch.cat([encoded, encoded_condition[:, None].expand(-1, inputs.shape[1], -1)], -1)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None, scored: Tensor | None = None) -> Tensor:
        """Return the outputs, see :meth:`Network.read_out`."""
        if isinstance(self.readout, nn.Linear):
            return linear_readout(self.readout, hidden, scored)
        outputs: Tensor = self.readout(hidden, condition)
        return outputs if scored is None else outputs[scored]
