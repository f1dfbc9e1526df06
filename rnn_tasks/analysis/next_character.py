"""The probabilities of the next character along a text."""

from typing import NamedTuple

import torch

from rnn_tasks.analysis.arrays import Floats, floats
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError, require
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.spec.vocabulary import UNKNOWN


class Distributions(NamedTuple):
    """Distributions of the next character along a text.

    Attributes:
        characters: The character of each column; the first column is the unknown character.
        probabilities: Row i is the distribution after ``prefix[: i + 1]``, ``(characters of the prefix, vocabulary)``.
    """

    characters: tuple[str, ...]
    probabilities: Floats


@torch.no_grad()
def next_character_distributions(network: LanguageNetwork, prefix: str) -> Distributions:
    """Return the distribution of the next character after each character of a text, starting from a state of zeros.

    Args:
        network: A network that was trained on text.
        prefix: The text, at least one character; characters outside the vocabulary become the unknown character.

    Raises:
        UsageError: An empty text, a network that was not trained on text, or one that has diverged.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import Elman
        >>> from rnn_tasks.spec import TaskSpec, Vocabulary
        >>> spec = TaskSpec(4, 4, vocabulary=Vocabulary("abc"))
        >>> network = LanguageNetwork(partial(Elman, hidden_size=8), spec)
        >>> next_character_distributions(network, "cab").probabilities.shape
        (3, 4)
    """
    vocabulary = network.spec.vocabulary
    if vocabulary is None:
        raise UsageError("this network was not trained on text")
    require(bool(prefix), "prefix must have at least one character, got an empty text")
    with evaluation_mode(network):
        logits, _ = network(vocabulary.encode(prefix)[None].to(network.device))
    probabilities = logits[0].cpu().double().softmax(dim=-1)
    return Distributions((UNKNOWN, *vocabulary.characters), floats(probabilities, "probabilities", 2))
