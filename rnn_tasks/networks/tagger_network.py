"""A network that outputs a symbol at every step of a sequence."""

from collections.abc import Sequence

import torch

from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError
from rnn_tasks.networks.sequence_network import SequenceNetwork
from rnn_tasks.spec import NOT_SCORED

RESPOND_STEPS = 100_000
"""Largest number of time steps, over all sequences with their padding, that ``respond`` computes at a time."""


class TaggerNetwork(SequenceNetwork):
    """Encodes inputs and a condition, runs a recurrent layer and computes logits of a symbol at every step.

    The arguments are those of :class:`SequenceNetwork`.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.tasks import Echo
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), Echo(delay=2).spec)
        >>> len(network.respond("abacaba"))
        7
    """

    @torch.no_grad()
    def respond(self, texts: str | Sequence[str], delay: int | None = None) -> str | list[str]:
        """Return the network's answers to strings, with a space at every step that is not scored.

        Args:
            texts: A string or several strings. For copy give the symbols only; blanks and the marker are added.
            delay: The delay; required if the network was trained on several delays.

        Returns:
            One answer for each string, as a string if ``texts`` is a string, otherwise as a list.

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
            decoded = codec.decode_outputs(symbols.masked_fill(batch.targets == NOT_SCORED, NOT_SCORED))
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
