"""Hidden states for TensorBoard's projector, with what they stand for."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis.words import word_states
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.spec.batch import joined
from rnn_tasks.spec.vocabulary import Vocabulary, visible
from rnn_tasks.texts.grammar import ELMAN

MAX_POINTS = 1_000
"""More can hardly be told apart, and take long to write."""


class Points(NamedTuple):
    """Hidden states with what they stand for.

    Attributes:
        name: What they are states of.
        states: ``(points, hidden_size)``.
        columns: Names of the columns of ``labels``.
        labels: A row for each point.
    """

    name: str
    states: Tensor
    columns: tuple[str, ...]
    labels: Sequence[tuple[str, ...]]

    def add_to(self, board: SummaryWriter, step: int) -> None:
        """Show them in TensorBoard, on its page PROJECTOR."""
        labels = [list(row) for row in self.labels]
        board.add_embedding(self.states, labels, None, step, self.name, list(self.columns))


def symbol_points(states: Tensor, batch: Batch, alphabet: tuple[str, ...]) -> Points:
    """The hidden state after each symbol.

    Args:
        states: ``(batch, time, hidden_size)``.
        batch: What was read.
        alphabet: How symbols are shown; as numbers if it is empty.

    Example:
        >>> batch = Batch(torch.tensor([[1, 2]]), torch.tensor([[-100, 1]]))
        >>> symbol_points(torch.zeros(1, 2, 3), batch, (" ", "a", "b")).labels
        [('a', '-', '0', '0'), ('b', 'a', '1', '0')]
    """

    def shown(symbol: int) -> str:
        if symbol < 0:
            return "-"
        return visible(alphabet[symbol]) if alphabet else str(symbol)

    labels = [
        (shown(read), shown(target), str(time), str(sequence))
        for sequence, rows in enumerate(zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True))
        for time, (read, target) in enumerate(zip(*rows, strict=True))
    ]
    columns = ("read", "to answer", "time step", "sequence")
    return Points("states_after_symbols", states.flatten(0, 1)[:MAX_POINTS], columns, labels[:MAX_POINTS])


def word_points(states: Tensor, text: Batch, vocabulary: Vocabulary) -> Points:
    """The mean hidden state after each word, the commonest words first.

    Args:
        states: ``(batch, time, hidden_size)``.
        text: What was read.
        vocabulary: The characters of its symbols.

    Raises:
        UsageError: There is no whole word.
    """
    found = word_states(states.float().cpu(), text.inputs.cpu(), vocabulary)
    order = (-found.counts).argsort(kind="stable")[:MAX_POINTS]
    words = [found.words[index] for index in order]
    counts = found.counts[order].tolist()
    labels = [
        (visible(word), kind, str(count)) for word, kind, count in zip(words, categories(words), counts, strict=True)
    ]
    return Points("states_after_words", torch.from_numpy(found.states[order]), ("word", "category", "count"), labels)


def categories(words: list[str]) -> list[str]:
    """The category of each word, where all are words of Elman's grammar; elsewhere words have none that is known.

    Example:
        >>> categories(["boy", "eat"]), categories(["boy", "traveller"])
        (['NOUN_HUMAN', 'VERB_TRAN'], ['unknown', 'unknown'])
    """
    return ELMAN.categories_of(words) or ["unknown"] * len(words)


def long_text(batches: Iterable[Batch], max_characters: int) -> Batch:
    """Return the first batches of a text as one: along time where they continue one another, else one below the other.

    Args:
        batches: The text, at least one batch.
        max_characters: No further batch is read when there are so many characters.

    Raises:
        UsageError: There is no batch.
    """
    parts: list[Batch] = []
    for batch in batches:
        if parts and not batch.continues and batch.inputs.shape[1] != parts[0].inputs.shape[1]:
            break
        parts.append(batch)
        if sum(part.inputs.numel() for part in parts) >= max_characters:
            break
    if not parts:
        raise UsageError("there is no validation text")
    return joined(parts)
