"""Elman's letters: predict the next letter of a stream of the words ba, dii and guuu."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import BEST_POSSIBLE, Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

InputName = Literal["symbols", "features"]
INPUTS: tuple[InputName, ...] = ("symbols", "features")
WORDS = ("ba", "dii", "guuu")
SYMBOLS = "bdgaiu"
FEATURES = {"b": "101001", "d": "101101", "g": "101011", "a": "010011", "i": "010101", "u": "010111"}
"""Of each letter, from left to right: consonant, vowel, interrupted, high, back, voiced."""
LONGEST_WORD = max(map(len, WORDS))
WORD_LENGTHS = torch.tensor([len(word) for word in WORDS])
WORD_SYMBOLS = torch.tensor(
    [[SYMBOLS.index(letter) for letter in word.ljust(LONGEST_WORD, word[-1])] for word in WORDS]
)
FEATURES_OF_SYMBOLS = torch.tensor([[float(feature) for feature in FEATURES[letter]] for letter in SYMBOLS])


def elman_letters(words: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and positions of the first letters of streams of words.

    ::

        time       0 1 2 3 4 5 6 7 8
        inputs     d i i b a g u u u
        targets    i i b a g u u u d
        position   1 2 0 1 0 1 2 3 0      of the target in its word

    Args:
        words: Indices in ``WORDS``, ``(batch, words)``, with more than ``length`` letters in each row.
        length: Number of inputs.

    Returns:
        Inputs, targets (the next letters) and the position of each target in its word, each ``(batch, length)``.
    """
    ends = WORD_LENGTHS[words].cumsum(1)
    letters = torch.arange(length + 1).expand(len(words), -1).contiguous()
    numbers = torch.searchsorted(ends, letters, right=True)
    kinds = words.gather(1, numbers)
    positions = letters - ends.gather(1, numbers) + WORD_LENGTHS[kinds]
    stream = WORD_SYMBOLS[kinds, positions]
    return stream[:, :-1], stream[:, 1:], positions[:, 1:]


class Scores(NamedTuple):
    """Exact scores on streams of one length.

    Attributes:
        floor: Lowest possible mean loss, nats per letter.
        loss: Mean loss of a predictor that knows the previous letter only, nats per letter.
        accuracy: Accuracy of this predictor.
        best_accuracy: Highest possible accuracy.
    """

    floor: float
    loss: float
    accuracy: float
    best_accuracy: float


@cache
def exact_scores(length: int) -> Scores:
    """Return exact scores on streams with ``length`` predicted letters, each of which starts with a new word."""
    starts = [1.0]  # by step: the probability that a word starts
    for step in range(1, length + 1):
        starts.append(sum(starts[step - len(word)] for word in WORDS if len(word) <= step) / len(WORDS))
    pairs = torch.zeros(len(SYMBOLS), len(SYMBOLS), dtype=torch.float64)  # expected number of pairs of adjacent letters
    for word in WORDS:
        for position, letter in enumerate(word):
            count = sum(starts[: max(0, length - position)]) / len(WORDS)
            if position + 1 < len(word):
                pairs[SYMBOLS.index(letter), SYMBOLS.index(word[position + 1])] += count
            else:
                pairs[SYMBOLS.index(letter), : len(WORDS)] += count / len(WORDS)  # the first letter of the next word
    known = pairs / pairs.sum(1, keepdim=True).clamp(min=torch.finfo(pairs.dtype).tiny)
    random = sum(starts[1:])
    return Scores(
        floor=random * math.log(len(WORDS)) / length,
        loss=-torch.xlogy(pairs, known).sum().item() / length,
        accuracy=pairs.amax(1).sum().item() / length,
        best_accuracy=(length - random + random / len(WORDS)) / length,
    )


class ElmanLetters(GeneratedTask):
    """Predict each next letter of a stream of words, which are drawn with equal probabilities from ba, dii and guuu.

    The first letter of a word is random, and the others follow from it: the network must learn how many vowels follow
    each consonant, and count them. The lowest loss is near ``ln 3 / 3``, 0.3662 nats per letter, since words have three
    letters on average. :func:`elman_letters` draws a stream; each stream starts with a new word.

    Accuracy counts all letters. It cannot exceed 7/9, since only a third of the first letters is guessed. The previous
    letter alone gives 19/27: the most likely next letter is then right at all vowels, so the accuracy of the vowels
    would show nothing. Therefore the loss decides when the task is solved, see :meth:`solved`.

    Results are sorted by the position of the predicted letter in its word, 0 for the consonant.

    Args:
        length: Letters that are predicted in each stream, ``>= 1``. The stream of the publication has 1,000 words.
        inputs: ``symbols``, or ``features``: six features of the letters, 0 or 1, as in the publication: consonant,
            vowel, interrupted, high, back, voiced. The targets are symbols in both cases; those of the publication
            are the features of the next letter.
        options: Options of :class:`GeneratedTask`; each of ``eval_lengths`` is a number of letters.

    Raises:
        UsageError: A value is out of bounds.

    References:
        J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990)
        (https://doi.org/10.1207/s15516709cog1402_1).

    Example:
        >>> task = ElmanLetters(length=9, batch_size=3)
        >>> task.train_batch(0).inputs.shape
        torch.Size([3, 9])
    """

    def __init__(self, length: int = 60, inputs: InputName = "symbols", **options: Any) -> None:
        super().__init__(**options)
        require(length >= 1, f"length must be at least 1, got {length}")
        require(inputs in INPUTS, f"inputs must be one of {', '.join(INPUTS)}, got {inputs}")
        self.length = length
        self.training_length = length
        self.inputs = inputs

    @property
    def spec(self) -> TaskSpec:
        """The symbols are the six letters; the inputs are letters, or their six features."""
        size = len(SYMBOLS)
        if self.inputs == "features":
            return TaskSpec(FEATURES_OF_SYMBOLS.shape[1], size, real_inputs=True)
        return TaskSpec(size, size, codec=Codec(SYMBOLS, SYMBOLS, sample="diibaguuubagu"))

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows how often each letter follows the previous one, with the floor of the loss."""
        scores = exact_scores(self.length)
        return Baseline(scores.loss, scores.accuracy, "previous letter", floor=scores.floor)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The best possible scores: the first letter of each word is guessed."""
        scores = exact_scores(self.length)
        return (Plateau(BEST_POSSIBLE, scores.floor, scores.best_accuracy, kind="reference"),)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the position of the predicted letter in its word."""
        return Grouping("position_in_word", LONGEST_WORD)

    def at_length(self, length: int) -> Self:
        """Return this task with streams of another number of letters."""
        return self.changed(length=length)

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Return whether the loss is much nearer to its floor than to the loss of knowing the previous letter only.

        Args:
            metrics: Metrics by name, including ``<stage>/loss``.
            stage: ``val`` or ``test``.
            threshold: Share of the difference between the loss of the baseline and the floor that the network must
                gain.
        """
        scores = exact_scores(self.length)
        gained = scores.loss - metrics.get(f"{stage}/loss", math.inf)
        return gained >= threshold * (scores.loss - scores.floor)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random words."""
        num_words = self.length // min(map(len, WORDS)) + 1
        words = torch.randint(0, len(WORDS), (num_sequences, num_words), generator=generator)
        inputs, targets, positions = elman_letters(words, self.length)
        return Batch(FEATURES_OF_SYMBOLS[inputs] if self.inputs == "features" else inputs, targets, group=positions)
