"""A network that outputs a symbol at every step of a sequence."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import Core
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError
from rnn_tasks.networks.conditional_linear import ConditionalLinear
from rnn_tasks.networks.network import Network, linear_readout
from rnn_tasks.spec import NOT_SCORED, TaskSpec

ConditionAt = Literal["input", "readout", "both"]
RESPOND_STEPS = 100_000
"""Largest number of time steps, over all sequences with their padding, that ``respond`` computes at a time."""


class TaggerNetwork(Network):
    """Encodes symbols and a condition, runs a recurrent layer and computes logits of a symbol at every step.

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes of the task, and the conversion of its symbols to strings.
        embedding_size: Size of a learned embedding of the symbols, and of another one of the condition; None for
            one-hot vectors.
        condition_at: Where the network receives the condition, if the task has one: ``input`` (with the symbol, at
            every step), ``readout`` (the condition selects the weights of the readout), or ``both``.
        zero_blank_weights: Whether the input weights of the blank start at zero, so that blanks add nothing to the
            state.

    Raises:
        UsageError: A value is outside its bounds, or ``zero_blank_weights`` is set and the input weights of the layer
            are unknown.

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
        encoded = self.encode_symbols(inputs)
        if not self.condition_at_input or condition is None:
            return encoded
        if self.condition_embedding is None:
            encoded_condition = functional.one_hot(condition, self.spec.num_conditions).to(self.dtype)
        else:
            encoded_condition = self.condition_embedding(condition)
        if len(condition) > len(inputs):
            encoded = encoded.repeat_interleave(len(condition) // len(inputs), 0)
        return torch.cat([encoded, encoded_condition[:, None].expand(-1, inputs.shape[1], -1)], -1)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return logits ``(k * sequences, time, output_size)``; arguments as in :meth:`Network.read_out`."""
        if isinstance(self.readout, nn.Linear):
            return linear_readout(self.readout, hidden)
        logits: Tensor = self.readout(hidden, condition)
        return logits

    @torch.no_grad()
    def respond(self, texts: str | Sequence[str], delay: int | None = None) -> str | list[str]:
        """Return the network's answers to strings, with a space at every step that is not scored.

        Args:
            texts: A string or several strings. For copy give the symbols only; blanks and the marker are added.
            delay: The delay; required if the network was trained on several delays.

        Returns:
            One answer for each string: a string if ``texts`` is a string, otherwise a list.

        Raises:
            UsageError: A letter is outside the alphabet, the delay is unknown, or the task has no strings.
        """
        codec = self.spec.codec
        if codec is None:
            raise UsageError("this network's task has no strings to respond to")
        strings = [texts] if isinstance(texts, str) else list(texts)
        lengths = codec.lengths(strings, delay)
        answers = [""] * len(strings)
        for group in groups_of_similar_length(lengths, RESPOND_STEPS):
            batch = codec.encode([strings[index] for index in group], delay)
            on_device = batch.to(self.device)
            with evaluation_mode(self):
                symbols = self(on_device.inputs, on_device.condition)[0].argmax(-1).cpu()
            decoded = codec.decode(symbols.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED))
            for index, answer in zip(group, decoded, strict=True):
                answers[index] = answer[: lengths[index]]
        return answers[0] if isinstance(texts, str) else answers


def groups_of_similar_length(lengths: Sequence[int], most_steps: int) -> list[list[int]]:
    """Return the indices of sequences in groups that need at most ``most_steps`` steps when padded to equal lengths.

    Args:
        lengths: The length of each sequence in steps.
        most_steps: The largest number of steps of a group; a longer sequence is alone in its group.

    Returns:
        The groups, in the order of the lengths; one empty group if there are no sequences.

    Example:
        >>> groups_of_similar_length([3, 40, 1, 2], 6)
        [[2, 3], [0], [1]]
    """
    groups: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups[-1] and (len(groups[-1]) + 1) * lengths[index] > most_steps:
            groups.append([])
        groups[-1].append(index)
    return groups
