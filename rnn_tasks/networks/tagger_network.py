"""A network that answers every step of a sequence with a symbol."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import Core
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError
from rnn_tasks.networks.conditional_linear import ConditionalLinear
from rnn_tasks.networks.network import Network, read_linearly
from rnn_tasks.spec import NOT_SCORED, TaskSpec

ConditionAt = Literal["input", "readout", "both"]


class TaggerNetwork(Network):
    """Encodes the symbols and the condition, runs a recurrent layer, reads out a symbol at every step.

    Args:
        core: Makes the layer from the size of its input.
        spec: The task's sizes and strings.
        embedding_size: Size of a learned embedding of the symbols (and of one of the condition); None for one-hot.
        condition_at: Where the condition, if the task has one, enters: ``input`` (beside the symbol, at every step),
            ``readout`` (the condition chooses the readout's weights), or ``both``.
        zero_blank_weights: Whether the input weights of the blank start at zero: waiting then leaves the state alone.

    Raises:
        UsageError: A value outside its bounds, or a blank to quieten in a layer that names no input weights.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.tasks import Echo
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), Echo(delay=2).spec)
        >>> len(network.respond("abacaba"))
        7
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        embedding_size: int | None = None,
        condition_at: ConditionAt = "input",
        zero_blank_weights: bool = False,
    ) -> None:
        at_input = spec.num_conditions if condition_at in ("input", "both") else 0
        at_readout = spec.num_conditions if condition_at in ("readout", "both") else 0
        extra_input_size = at_input if embedding_size is None or not at_input else embedding_size
        super().__init__(
            core,
            spec,
            embedding_size=embedding_size,
            extra_input_size=extra_input_size,
            zero_blank_weights=zero_blank_weights,
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

    def encode(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the layer reads, ``(sequences, time, features)``; arguments as in :meth:`forward`.

        Where it reads the condition, it reads each sequence once for each of its k conditions.
        """
        encoded = self.encode_symbols(inputs)
        if not self.condition_at_input or condition is None:
            return encoded
        if self.condition_embedding is None:
            given = functional.one_hot(condition, self.spec.num_conditions).to(self.dtype)
        else:
            given = self.condition_embedding(condition)
        if len(condition) > len(inputs):
            encoded = encoded.repeat_interleave(len(condition) // len(inputs), 0)
        return torch.cat([encoded, given[:, None].expand(-1, inputs.shape[1], -1)], -1)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits of the symbols, ``(k * sequences, time, output_size)``; arguments as in :class:`Network`."""
        if isinstance(self.readout, nn.Linear):
            return read_linearly(self.readout, hidden)
        logits: Tensor = self.readout(hidden, condition)
        return logits

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
        moved = batch.to(self.device)
        with evaluation_mode(self):
            answers = self(moved.inputs, moved.condition)[0].argmax(-1).cpu()
        lines = codec.decode(answers.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED))
        lines = [line[:length] for line, length in zip(lines, codec.lengths(several, delay), strict=True)]
        return lines[0] if isinstance(texts, str) else lines
