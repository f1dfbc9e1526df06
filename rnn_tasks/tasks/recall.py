"""Recall: read pairs of a key and a value, then say the value of a key."""

import math
import string
from functools import cache
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.unordered import unordered_accuracy, unordered_loss

LayoutName = Literal["associative", "mqar", "mad"]
KEYS = string.ascii_lowercase
VALUES = string.digits + string.ascii_uppercase[:10]
NOISE = string.ascii_uppercase[10:]
QUESTION, BLANK = "?", "."
GAP_POWER = 0.01
NO_KEY = -1


class Layout(NamedTuple):
    """What differs between the layouts.

    Attributes:
        vocabulary: Default number of symbols: keys, values and the special symbol.
        special: The character of the special symbol; empty without one.
        values: Number of values; None for half of the vocabulary.
        repeats_keys: Whether the keys of the pairs are drawn with replacement, and each repeated key is a query.
        distinct_values: Whether all values of a sequence differ.
    """

    vocabulary: int
    special: str = ""
    values: int | None = None
    repeats_keys: bool = False
    distinct_values: bool = False


LAYOUTS: dict[LayoutName, Layout] = {
    "associative": Layout(vocabulary=37, special=QUESTION, values=10),
    "mqar": Layout(vocabulary=32, special=BLANK, distinct_values=True),
    "mad": Layout(vocabulary=16, repeats_keys=True),
}


def recall(inputs: Tensor, keys: Tensor, values: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and lags of sequences that start with pairs of a key and a value.

    ::

        associative             time      0 1 2 3 4 5 6 7 8
        pairs=3, queries=1      inputs    b 1 d 4 a 1 ? ? d
                                targets   - - - - - - - - 4
                                lags      0 0 0 0 0 0 0 0 6

        associative             time      0 1 2 3 4 5 6 7 8 9
        pairs=2, queries=2,     inputs    b 1 d 4 b 7 ? ? d b
        updates=1               targets   - - - - - - - - 4 7
                                lags      0 0 0 0 0 0 0 0 6 5

        mqar                    time      0 1 2 3 4 5 6 7 8 9
        pairs=2, queries=2,     inputs    b 1 d 4 . . d . b .
        length=10               targets   - - - - - - 4 - 1 -
                                lags      0 0 0 0 0 0 4 0 8 0

        mad                     time      0 1 2 3 4 5 6 7 8
        pairs=5                 inputs    b 1 d 4 b 1 b 1 d
                                targets   - - - - 1 - 1 - 4
                                lags      0 0 0 0 4 0 2 0 6

    Letters are keys, digits are values, '.' is the blank, '-' a step that is not scored. The answer is due at the step
    of the key. A key that was written several times has its last value.

    Args:
        inputs: The inputs, ``(batch, time)``; pair i stands at the steps 2 i and 2 i + 1.
        keys: The key of each pair, ``(batch, pairs)``; ``NO_KEY`` for noise in place of a pair.
        values: The value of each pair as an output symbol, ``(batch, pairs)``.
        queries: The steps that ask for the value of the key that stands there, ``(batch, queries)``. The step is not
            scored if this key was not written before.

    Returns:
        The targets, and the number of steps since the key was last written (0 at steps that are not scored), each
        ``(batch, time)``.
    """
    written = 2 * torch.arange(keys.shape[1])
    asked = inputs.gather(1, queries)[:, :, None]
    matches = (asked == keys[:, None]) & (written < queries[:, :, None])
    last = (matches * (written + 1)).amax(2) - 1  # the step of the last matching key; -1 if there is none
    answers = values.gather(1, last.clamp(min=0) // 2).masked_fill(last < 0, NOT_SCORED)
    targets = torch.full_like(inputs, NOT_SCORED).scatter_(1, queries, answers)
    lags = torch.zeros_like(inputs).scatter_(1, queries, (queries - last).masked_fill(last < 0, 0))
    return targets, lags


@cache
def distribution_of_known_keys(pairs: int, num_keys: int, noise: float) -> tuple[float, ...]:
    """Return how many different keys were written before a scored step of the layout mad.

    Args:
        pairs: Number of pairs, ``>= 2``.
        num_keys: Number of different keys.
        noise: Share of the pairs that are noise.

    Returns:
        Element d is the expected number of scored steps of a sequence with d known keys, for ``d = 0..num_keys``.
    """
    counts = np.arange(num_keys + 1)
    known = np.zeros((pairs - 1, num_keys + 1))  # row i: the pair i is the one that is certainly not noise
    known[:, 0] = 1
    scored = np.zeros(num_keys + 1)
    for pair in range(pairs - 1):
        is_pair = np.full((pairs - 1, 1), 1 - noise)
        is_pair[pair] = 1
        old = is_pair * known * counts / num_keys  # a key that is known already
        new = is_pair * known - old
        scored += old.mean(0)
        known = known - new
        known[:, 1:] += new[:, :-1]
    return tuple((scored + known.mean(0)).tolist())  # the last key is one of those known


def draw_distinct(num_rows: int, population: int, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` different numbers in ``0..population - 1`` for each row, in random order."""
    return torch.rand(num_rows, population, generator=generator).topk(count).indices


class Recall(GeneratedTask):
    """Say which value belonged to a key, after several pairs of a key and a value. Three layouts of the literature.

    A network that only knows which values occurred answers better than chance, so the score of this partial solution
    is shown as a plateau. :func:`recall` draws one sequence of each layout.

    * ``associative``: pairs of different letters and random digits, two question marks, and a letter. The answer is
      due at the letter.
    * ``mqar`` (multi-query associative recall): pairs of different keys and different values, then blanks. Keys are
      asked for at every second step after the pairs; the probability of the g-th of these steps is proportional to
      ``g ** -0.99``. The original predicts any symbol; here the outputs are the values only.
    * ``mad`` (in-context recall): the keys are drawn with replacement, each keeps its value, and the answer is due at
      each key that was written before. The original is trained to predict every next symbol, and reports an accuracy
      averaged over the values; here only the answers are scored. Its sequence length is ``2 * pairs``.

    The length of a sequence is ``length`` in the layout ``mqar``, else the number of pairs. Results are sorted by the
    lag, the number of steps since the key was last written.

    Args:
        layout: ``associative``, ``mqar`` or ``mad``.
        pairs: Number of different keys, ``>= 1``; in the layout ``mad`` the number of pairs, ``>= 2``, with repetitions
            and with the last key.
        vocabulary: Number of symbols without those of noise; None for 37 (``associative``), 32 (``mqar``) or 16
            (``mad``). ``associative``: ten are digits, one is the question mark. ``mqar`` and ``mad``: one half are
            values; in ``mqar`` the other half are keys and the blank.
        queries: Number of different keys that are asked for, ``1..pairs``; None for 1 (``associative``) or all
            (``mqar``). The layout ``mad`` asks for every repeated key.
        updates: Number of keys that are written again after all pairs, with a new value, ``0..pairs``; the last value
            counts. Not in the layout ``mad``.
        noise: Share of noise, ``0..1``. ``mqar``: share of the blanks that are replaced by any symbol. ``mad``: share
            of the pairs that are replaced by two of 16 noise symbols (one pair never is). Not in ``associative``.
        length: Steps of a sequence in the layout ``mqar``, ``>= 2 * (pairs + updates + queries)``.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds.

    References:
        ``associative``: J. Ba et al., "Using fast weights to attend to the recent past", NeurIPS 2016
        (https://arxiv.org/abs/1610.06258). ``mqar``: S. Arora et al., "Zoology: measuring and improving recall in
        efficient language models", ICLR 2024 (https://arxiv.org/abs/2312.04927,
        https://github.com/HazyResearch/zoology). ``mad``: M. Poli et al., "Mechanistic design and scaling of hybrid
        architectures", 2024 (https://arxiv.org/abs/2403.17844, https://github.com/athms/mad-lab).

    Example:
        >>> task = Recall(pairs=4)
        >>> task.plateaus[0].name, round(task.plateaus[0].accuracy, 4)
        ('knows which values occurred, not whose', 0.3835)
    """

    def __init__(
        self,
        layout: LayoutName = "associative",
        pairs: int = 4,
        vocabulary: int | None = None,
        queries: int | None = None,
        updates: int = 0,
        noise: float = 0.0,
        length: int = 32,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(layout in LAYOUTS, f"layout must be one of {', '.join(LAYOUTS)}, got {layout}")
        self.layout = LAYOUTS[layout]
        repeats = self.layout.repeats_keys
        symbols = self.layout.vocabulary if vocabulary is None else vocabulary
        self.num_values = symbols - symbols // 2 if self.layout.values is None else self.layout.values
        self.num_keys = symbols - self.num_values - len(self.layout.special)
        require(0 <= noise <= 1, f"noise must be in 0..1, got {noise}")
        require(layout != "associative" or noise == 0, f"layout associative has no noise, got {noise}")
        require(not repeats or updates == 0, f"layout mad has no updates, got {updates}")
        require(
            not repeats or queries is None, f"layout mad asks for every repeated key: leave out queries, got {queries}"
        )
        self.pairs = pairs
        self.updates = updates
        self.noise = noise
        self.queries = (pairs if self.has_blanks else 1) if queries is None else queries
        self.length = length
        self.training_length = length if self.has_blanks else pairs
        self._check_sizes()

    def _check_sizes(self) -> None:
        """Raise UsageError if the numbers of pairs are out of bounds, or need more keys, values or steps."""
        pairs, updates, queries = self.pairs, self.updates, self.queries
        fewest = 2 if self.layout.repeats_keys else 1
        require(pairs >= fewest, f"pairs must be at least {fewest}, got {pairs}")
        require(0 <= updates <= pairs, f"updates must be in 0..pairs ({pairs}), got {updates}")
        require(1 <= queries <= pairs, f"queries must be in 1..pairs ({pairs}), got {queries}")
        keys = 1 if self.layout.repeats_keys else pairs
        values = pairs + updates if self.layout.distinct_values else 1
        require(
            self.num_keys >= keys and self.num_values >= values,
            f"pairs ({pairs}) and updates ({updates}) need {keys} keys and {values} values, but vocabulary gives "
            f"{self.num_keys} and {self.num_values}: choose a larger vocabulary or fewer pairs",
        )
        steps = 2 * (pairs + updates + queries)
        require(
            not self.has_blanks or self.length >= steps,
            f"length must be at least 2 * (pairs + updates + queries) = {steps}, got {self.length}",
        )

    @property
    def has_blanks(self) -> bool:
        """Whether the keys that are asked for stand among blanks, in sequences of the chosen length."""
        return self.layout.special == BLANK

    @property
    def special(self) -> int:
        """The index of the question mark or of the blank, which comes after the keys and the values."""
        return self.num_keys + self.num_values

    @property
    def num_noise_symbols(self) -> int:
        """Number of symbols that only noise has."""
        return len(NOISE) if self.layout.repeats_keys and self.noise > 0 else 0

    @property
    def num_steps(self) -> int:
        """Number of steps of a sequence."""
        if self.layout.repeats_keys:
            return 2 * self.pairs - 1
        return self.length if self.has_blanks else 2 * (self.pairs + self.updates) + 2 + self.queries

    @property
    def spec(self) -> TaskSpec:
        """The input symbols are keys, values, the question mark or the blank, and noise; the outputs are values."""
        return TaskSpec(
            self.special + len(self.layout.special) + self.num_noise_symbols,
            self.num_values,
            blank=self.special if self.has_blanks else None,
            codec=self._codec(),
        )

    def _codec(self) -> Codec | None:
        """Return the conversion of strings; None if there are more symbols than characters.

        With noise in the layout ``mqar``, a key that is asked for can stand before any symbol, as the key of a pair
        does. There is no codec then, since a string would not show where an answer is due.
        """
        if self.num_keys > len(KEYS) or self.num_values > len(VALUES) or (self.has_blanks and self.noise > 0):
            return None
        keys, values = KEYS[: self.num_keys], VALUES[: self.num_values]
        symbols = keys + values + self.layout.special + NOISE[: self.num_noise_symbols]
        example = self.sample(1, "test", torch.Generator().manual_seed(0)).inputs[0].tolist()
        return Codec(
            symbols,
            symbols,
            output_symbols=values,
            answer_at=keys,
            not_before=values,
            sample="".join(symbols[symbol] for symbol in example),
        )

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses: all values are equally likely."""
        return Baseline(math.log(self.num_values), 1 / self.num_values)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The scores of predictors that know the values without their keys, or the first value of each key only.

        With n values written, the first predictor is right with probability 1 / n if all values differ, else with the
        probability of the most frequent one (:func:`unordered_accuracy`). In the layout ``mad``, n is the number of
        different keys written before. The other predictor is wrong at an updated key, unless the new value is the same.
        Without an updated key, or if all keys are updated, it is left out.
        """
        name = "knows which values occurred, not whose"
        written = self.pairs + self.updates
        if self.layout.repeats_keys:
            weights = distribution_of_known_keys(self.pairs, self.num_keys, self.noise)
            known = range(1, len(weights))
            loss = math.fsum(weights[n] * unordered_loss(n, self.num_values) for n in known) / math.fsum(weights)
            right = math.fsum(weights[n] * unordered_accuracy(n, self.num_values) for n in known)
            return (Plateau(name, loss, right / math.fsum(weights)),)
        if self.layout.distinct_values:
            without_keys, different = Plateau(name, math.log(written), 1 / written), 1.0
        else:
            accuracy = unordered_accuracy(written, self.num_values)
            without_keys = Plateau(name, unordered_loss(written, self.num_values), accuracy)
            different = 1 - 1 / self.num_values
        if written == 1:
            return ()
        if not 0 < self.updates < self.pairs:
            return (without_keys,)
        first = Plateau("knows the first value of each key", accuracy=1 - different * self.updates / self.pairs)
        return without_keys, first

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of steps since the key was last written."""
        return Grouping("lag", self.num_steps)

    def at_length(self, length: int) -> Self:
        """Return this task with another number of steps (``mqar``) or of pairs (``associative``, ``mad``)."""
        longer = self.changed(**{"length" if self.has_blanks else "pairs": length})
        longer._check_sizes()
        return longer

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random pairs, and the keys to ask for."""
        if self.layout.repeats_keys:
            return self._sample_repeated_keys(num_sequences, generator)
        keys, values = self._draw_pairs(num_sequences, generator)
        context = torch.stack([keys, self.num_keys + values], 2).flatten(1)
        asked = draw_distinct(num_sequences, self.pairs, self.queries, generator)
        if not self.has_blanks:
            questions = torch.full((num_sequences, 2), self.special)
            inputs = torch.cat([context, questions, keys.gather(1, asked)], 1)
            queries = torch.arange(inputs.shape[1] - self.queries, inputs.shape[1]).expand(num_sequences, -1)
        else:
            places = (self.length - context.shape[1]) // 2
            chances = torch.arange(1.0, places + 1).pow(GAP_POWER - 1).expand(num_sequences, -1)
            gaps = torch.multinomial(chances, self.queries, generator=generator)
            queries = context.shape[1] + 2 * gaps
            fillers = self._fillers(num_sequences, self.length - context.shape[1], generator)
            # The keys keep the order in which they were written: the first one has the first choice of a step.
            asked = asked.sort().values
            inputs = torch.cat([context, fillers], 1).scatter_(1, queries, keys.gather(1, asked))
        targets, lags = recall(inputs, keys, values, queries)
        return Batch(inputs, targets, group=lags)

    def _draw_pairs(self, num_sequences: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the keys and the values of all pairs, those of the updates last, ``(num_sequences, pairs)``."""
        keys = draw_distinct(num_sequences, self.num_keys, self.pairs, generator)
        updated = draw_distinct(num_sequences, self.pairs, self.updates, generator)
        keys = torch.cat([keys, keys.gather(1, updated)], 1)
        if self.layout.distinct_values:
            return keys, draw_distinct(num_sequences, self.num_values, keys.shape[1], generator)
        return keys, torch.randint(0, self.num_values, keys.shape, generator=generator)

    def _fillers(self, num_sequences: int, steps: int, generator: torch.Generator) -> Tensor:
        """Return blanks, of which a share is replaced by any symbol, ``(num_sequences, steps)``."""
        blanks = torch.full((num_sequences, steps), self.special)
        if self.noise == 0:
            return blanks
        symbols = torch.randint(0, self.special + 1, blanks.shape, generator=generator)
        return torch.where(torch.rand(blanks.shape, generator=generator) < self.noise, symbols, blanks)

    def _sample_repeated_keys(self, num_sequences: int, generator: torch.Generator) -> Batch:
        """Draw sequences of the layout ``mad``."""
        shape = (num_sequences, self.pairs - 1)
        keys = torch.randint(0, self.num_keys, shape, generator=generator)
        value_of_key = torch.randint(0, self.num_values, (num_sequences, self.num_keys), generator=generator)
        values = value_of_key.gather(1, keys)
        inputs = torch.stack([keys, self.num_keys + values], 2)
        if self.noise > 0:
            is_noise = torch.rand(shape, generator=generator) < self.noise
            is_noise.scatter_(1, torch.randint(0, shape[1], (num_sequences, 1), generator=generator), False)
            symbols = torch.randint(self.special, self.special + len(NOISE), inputs.shape, generator=generator)
            inputs = torch.where(is_noise[:, :, None], symbols, inputs)
            keys = keys.masked_fill(is_noise, NO_KEY)
        is_known = (keys[:, :, None] == torch.arange(self.num_keys)).any(1)
        last = torch.multinomial(is_known.double(), 1, generator=generator)
        inputs = torch.cat([inputs.flatten(1), last], 1)
        queries = torch.arange(0, inputs.shape[1], 2).expand(num_sequences, -1)
        targets, lags = recall(inputs, keys, values, queries)
        return Batch(inputs, targets, group=lags)
