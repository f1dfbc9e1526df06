"""Hidden states with labels for TensorBoard's projector."""

import math
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
"""Maximum number of points; more are hard to tell apart, and slow to write."""


class Points(NamedTuple):
    """Hidden states with labels.

    Attributes:
        name: Tag in TensorBoard.
        states: Hidden states, ``(points, hidden_size)``.
        columns: Names of the columns of ``labels``.
        labels: One row of labels for each point.
    """

    name: str
    states: Tensor
    columns: tuple[str, ...]
    labels: Sequence[tuple[str, ...]]

    def add_to(self, writer: SummaryWriter, step: int) -> None:
        """Write the points to TensorBoard, for its page PROJECTOR."""
        labels = [list(row) for row in self.labels]
        writer.add_embedding(self.states, labels, None, step, self.name, list(self.columns))


def symbol_points(
    states: Tensor, batch: Batch, alphabet: tuple[str, ...], output_alphabet: tuple[str, ...] | None = None
) -> Points:
    """Return the hidden state after each input, at most :data:`MAX_POINTS` of them.

    Args:
        states: Hidden states, ``(batch, time, hidden_size)``.
        batch: The sequences that the network read.
        alphabet: The label of each symbol; if empty, the number of the symbol is its label. Real values are labelled
            with two digits after the point.
        output_alphabet: The label of each output symbol; None for ``alphabet``.

    Example:
        >>> batch = Batch(torch.tensor([[1, 2]]), torch.tensor([[-100, 1]]))
        >>> symbol_points(torch.zeros(1, 2, 3), batch, (" ", "a", "b")).labels
        [('a', '-', '0', '0'), ('b', 'a', '1', '0')]
    """

    def label(value: int | list[float], alphabet: tuple[str, ...]) -> str:
        if isinstance(value, list):
            return "-" if math.isnan(value[0]) else " ".join(f"{number:.2f}" for number in value)
        if value < 0:
            return "-"
        return visible(alphabet[value]) if alphabet else str(value)

    output_alphabet = alphabet if output_alphabet is None else output_alphabet
    labels = [
        (label(value, alphabet), label(target, output_alphabet), str(time), str(sequence))
        for sequence, rows in enumerate(zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True))
        for time, (value, target) in enumerate(zip(*rows, strict=True))
    ]
    columns = ("input", "target", "time step", "sequence")
    return Points("states_after_symbols", states.flatten(0, 1)[:MAX_POINTS], columns, labels[:MAX_POINTS])


def word_points(states: Tensor, text: Batch, vocabulary: Vocabulary) -> Points:
    """Return the mean hidden state after each word, the most common words first, at most :data:`MAX_POINTS` of them.

    Args:
        states: Hidden states, ``(batch, time, hidden_size)``.
        text: The text that the network read.
        vocabulary: The characters of the text's symbols.

    Raises:
        UsageError: The text has no whole word.
    """
    means = word_states(states.float().cpu(), text.inputs.cpu(), vocabulary)
    order = (-means.counts).argsort(kind="stable")[:MAX_POINTS]
    words = [means.words[index] for index in order]
    counts = means.counts[order].tolist()
    labels = [
        (visible(word), category, str(count))
        for word, category, count in zip(words, categories(words), counts, strict=True)
    ]
    return Points("states_after_words", torch.from_numpy(means.states[order]), ("word", "category", "count"), labels)


def categories(words: list[str]) -> list[str]:
    """Return the category of each word in Elman's grammar; "unknown" for all words if one is not in the grammar.

    Example:
        >>> categories(["boy", "eat"]), categories(["boy", "traveller"])
        (['NOUN_HUMAN', 'VERB_TRAN'], ['unknown', 'unknown'])
    """
    return ELMAN.categories_of(words) or ["unknown"] * len(words)


def long_text(batches: Iterable[Batch], max_characters: int) -> Batch:
    """Join the first batches of a text: along time if they continue one another, else along the batch dimension.

    Args:
        batches: The batches of the text, at least one.
        max_characters: Stop reading batches once this many characters have been read.

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
        raise UsageError("the validation text is empty: it has no batch")
    return joined(parts)
