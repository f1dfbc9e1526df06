"""A small grammar of sentences with exact next-character probabilities and an exact entropy rate."""

import math
from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.errors import UsageError

DETERMINER = "DET"


@dataclass(frozen=True)
class Template:
    """The form of a sentence, such as ``DET NOUN_HUMAN break DET glass|plate``.

    Args:
        slots: One slot per word, separated by spaces: a category, a word, or alternatives separated by ``|``. All words
            that fit a slot are equally likely.
        weight: Frequency of the template relative to the others, ``> 0``.
    """

    slots: str
    weight: float = 1.0


class Grammar:
    """All sentences of a list of templates, each with its probability.

    A text is a stream of independent sentences, separated by single spaces only::

        the boy sleep a lion chase the mouse a queen eat the cookie the girl hear a dog ...

    No sentence, with the space after it, is a prefix of another. A reader therefore knows where each sentence ends, and
    the next character depends only on the characters since then: its probability is exact. The entropy rate is the
    lowest mean loss that any model can reach.

    Args:
        categories: The words of each category; each word is in one category.
        templates: At least one template. Templates may also use the category ``DET``, the determiners.
        determiners: The words of the category ``DET``.

    Raises:
        UsageError: A category has no words, a word contains a space or is in two categories, a slot is neither a
            category nor a word, a weight is not positive, or a sentence is a prefix of another.

    Example:
        >>> words = {"ANIMAL": ["cat", "dog"], "VERB": ["sleep", "see"]}
        >>> grammar = Grammar(words, [Template("DET ANIMAL sleep", weight=3), Template("DET cat see DET dog")])
        >>> len(grammar.sentences)
        8
        >>> grammar.next_character("the dog sleep a cat s")
        {'e': 0.4, 'l': 0.6}
    """

    def __init__(
        self,
        categories: Mapping[str, Sequence[str]],
        templates: Sequence[Template],
        determiners: Sequence[str] = ("the", "a"),
    ) -> None:
        self.categories = {DETERMINER: tuple(determiners)} | {name: tuple(words) for name, words in categories.items()}
        self.templates = tuple(templates)
        self.word_categories = _word_categories(self.categories)
        probabilities = _sentence_probabilities(self.categories, self.word_categories, self.templates)
        # With the space after each sentence: "the cat" is not a prefix of "the catbird " in this sense.
        self._spaced = sorted(f"{sentence} " for sentence in probabilities)
        for shorter, longer in pairwise(self._spaced):
            if longer.startswith(shorter):
                raise UsageError(
                    f"no sentence may be a prefix of another: {shorter[:-1]!r} and {longer[:-1]!r}; change a template"
                )
        self.sentences = tuple(sentence[:-1] for sentence in self._spaced)
        self.probabilities: NDArray[np.float64] = np.array([probabilities[sentence] for sentence in self.sentences])

    @cached_property
    def characters(self) -> str:
        """All characters of the sentences and the space, sorted; their indices are the symbols of a stream."""
        return "".join(sorted(set("".join(self._spaced))))

    @cached_property
    def lexicon(self) -> frozenset[str]:
        """All words."""
        return frozenset(self.word_categories)

    def categories_of(self, words: Sequence[str]) -> list[str]:
        """Return the category of each word; an empty list if a word is not in the grammar.

        Example:
            >>> ELMAN.categories_of(["boy", "eat"]), ELMAN.categories_of(["boy", "traveller"])
            (['NOUN_HUMAN', 'VERB_TRAN'], [])
        """
        return [self.word_categories[word] for word in words] if self.lexicon.issuperset(words) else []

    @cached_property
    def mean_length(self) -> float:
        """Expected number of characters of a sentence and its space."""
        return float(self.probabilities @ self._lengths)

    @cached_property
    def entropy_rate(self) -> float:
        """Entropy rate of an endless text in nats per character: the entropy of a sentence over its mean length."""
        return float(-self.probabilities @ np.log(self.probabilities) / self.mean_length)

    def corpus(self, num_sentences: int, seed: int) -> str:
        """Return a text of random sentences.

        Args:
            num_sentences: Number of sentences, ``>= 1``.
            seed: Seed of the random choice, ``>= 0``.

        Raises:
            UsageError: A value is out of bounds.
        """
        if num_sentences < 1:
            raise UsageError(f"num_sentences must be at least 1, got {num_sentences}")
        if seed < 0:
            raise UsageError(f"seed must be at least 0, got {seed}")
        numbers = self._draw_sentences((num_sentences,), np.random.default_rng(seed))
        return " ".join(self.sentences[number] for number in numbers)

    def stream(self, num_rows: int, num_characters: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return independent random texts, each a space followed by sentences, cut off at ``num_characters``.

        Args:
            num_rows: Number of texts, ``>= 1``.
            num_characters: Characters per text, ``>= 1``.
            rng: The random generator.

        Returns:
            Indices into ``characters``, ``(num_rows, num_characters)``.

        Raises:
            UsageError: A value is out of bounds.
        """
        for name, value in {"num_rows": num_rows, "num_characters": num_characters}.items():
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        num_remaining = num_characters - 1  # after the space
        numbers = self._draw_sentences((num_rows, -(-num_remaining // int(self._lengths.min()))), rng)
        lengths = self._lengths[numbers]
        starts = lengths.cumsum(axis=1) - lengths
        kept_lengths = np.clip(num_remaining - starts, 0, lengths)
        texts = self._symbols[self._positions(numbers.ravel(), kept_lengths.ravel())].reshape(num_rows, num_remaining)
        space = np.full((num_rows, 1), self.characters.index(" "))
        return np.concatenate([space, texts], axis=1)

    def next_character(self, text: str) -> dict[str, float]:
        """Return the exact probabilities of the next character.

        Args:
            text: A text that starts with a sentence, or with a space and a sentence; it may end anywhere.

        Returns:
            The probability of each possible character, in alphabetical order.

        Raises:
            UsageError: The grammar cannot produce the text.
        """
        _, rest = self._parse(text)
        low, high = self._matching_range(rest)
        sums: dict[str, float] = {}
        for sentence, probability in zip(self._spaced[low:high], self.probabilities[low:high].tolist(), strict=True):
            character = sentence[len(rest)]
            sums[character] = sums.get(character, 0.0) + probability
        total = math.fsum(sums.values())
        return {character: probability / total for character, probability in sums.items()}

    def log_probabilities(self, text: str) -> NDArray[np.float64]:
        """Return the exact log probability of each character given the characters before it, in nats.

        Args:
            text: A text that starts with a sentence, or with a space (of probability 1) and a sentence; it may end
                anywhere.

        Returns:
            Log probabilities, ``(characters,)``.

        Raises:
            UsageError: The grammar cannot produce the text.
        """
        numbers, rest = self._parse(text)
        low, _ = self._matching_range(rest)
        lengths = np.append(self._lengths[numbers], len(rest))
        logs = self._log_probabilities[self._positions(np.append(numbers, low), lengths)]
        return np.concatenate([np.zeros(int(text.startswith(" "))), logs])

    def lexicon_share(self, text: str) -> float:
        """Return the share of the words of a text that are in the grammar; see :func:`lexicon_share`.

        Args:
            text: A text of at least three words.

        Raises:
            UsageError: The text has fewer than three words.
        """
        return lexicon_share(text, self.lexicon)

    @cached_property
    def _sentence_numbers(self) -> dict[str, int]:
        return {sentence: number for number, sentence in enumerate(self.sentences)}

    @cached_property
    def _word_counts(self) -> list[int]:
        """The possible numbers of words in a sentence."""
        return sorted({sentence.count(" ") for sentence in self._spaced})

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Number of characters of each sentence and its space."""
        return np.array([len(sentence) for sentence in self._spaced])

    @cached_property
    def _symbols(self) -> NDArray[np.int64]:
        """All sentences with their spaces, concatenated, as indices into ``characters``."""
        index = {character: number for number, character in enumerate(self.characters)}
        return np.array([index[character] for character in "".join(self._spaced)])

    @cached_property
    def _log_probabilities(self) -> NDArray[np.float64]:
        """Log probability of each of ``_symbols`` given the start of its sentence."""
        width = int(self._lengths.max())
        mask = np.arange(width) < self._lengths[:, None]
        grid = np.full(mask.shape, -1)
        grid[mask] = self._symbols
        # Sentences are sorted, so those with a common prefix are neighbours: one group for each prefix of each length.
        groups = np.zeros((len(grid), 1 + width), dtype=np.int64)
        groups[1:, 1:] = np.logical_or.accumulate(grid[1:] != grid[:-1], axis=1).cumsum(axis=0)
        prefix_probabilities = np.stack([np.bincount(group, self.probabilities)[group] for group in groups.T], axis=1)
        logs: NDArray[np.float64] = np.log((prefix_probabilities[:, 1:] / prefix_probabilities[:, :-1])[mask])
        return logs

    def _draw_sentences(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return random sentence numbers."""
        cumulative = self.probabilities.cumsum()
        return np.searchsorted(cumulative / cumulative[-1], rng.random(shape), side="right")

    def _positions(self, numbers: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions in ``_symbols`` of the first ``lengths[i]`` characters of sentence ``numbers[i]``."""
        starts = self._lengths.cumsum() - self._lengths
        shifts = starts[numbers] - (lengths.cumsum() - lengths)
        positions: NDArray[np.int64] = np.arange(lengths.sum()) + np.repeat(shifts, lengths)
        return positions

    def _matching_range(self, prefix: str) -> tuple[int, int]:
        """Return the first number and the end (exclusive) of the sentences that start with a prefix."""
        return bisect_left(self._spaced, prefix), bisect_left(self._spaced, prefix + chr(0x10FFFF))

    def _sentence_at(self, words: Sequence[str], first: int) -> int | None:
        """Return the number of the complete sentence that starts at word ``first``; None if there is none."""
        for count in self._word_counts:
            # The space that ends the sentence is there only if another (possibly empty) word follows.
            if first + count < len(words):
                number = self._sentence_numbers.get(" ".join(words[first : first + count]))
                if number is not None:
                    return number
        return None

    def _parse(self, text: str) -> tuple[NDArray[np.int64], str]:
        """Return the numbers of the complete sentences, and the text after them."""
        position = int(text.startswith(" "))
        words = text[position:].split(" ")
        numbers, word = [], 0
        while (number := self._sentence_at(words, word)) is not None:
            numbers.append(number)
            position += len(self._spaced[number])
            word += self._spaced[number].count(" ")
        rest = text[position:]
        for end in range(1, len(rest) + 1):
            low, high = self._matching_range(rest[:end])
            if low == high:
                raise UsageError(
                    f"the grammar cannot produce this text: no sentence continues {rest[: end - 1]!r} with "
                    f"{rest[end - 1]!r} (position {position + end - 1})"
                )
        return np.array(numbers, dtype=np.int64), rest


def lexicon_share(text: str, lexicon: Container[str]) -> float:
    """Return the share of the words of a text that are in a lexicon, from 0 to 1.

    The first and the last word are not counted, since they may be incomplete.

    Args:
        text: A text of at least three words.
        lexicon: The words.

    Raises:
        UsageError: The text has fewer than three words.

    Example:
        >>> lexicon_share("oy the cat tha ca", {"the", "cat"})
        0.6666666666666666
    """
    words = text.split()[1:-1]
    if not words:
        raise UsageError("the text must have at least three words, since the first and the last are not counted")
    return sum(word in lexicon for word in words) / len(words)


def _word_categories(categories: Mapping[str, Sequence[str]]) -> dict[str, str]:
    word_categories: dict[str, str] = {}
    for category, words in categories.items():
        if not words:
            raise UsageError(f"category {category} has no words: add at least one")
        for word in words:
            if word.split() != [word]:
                raise UsageError(f"a word must not be empty or contain a space, got {word!r} in {category}")
            if word in word_categories:
                raise UsageError(
                    f"each word must be in one category, once; {word!r} is in {word_categories[word]} and {category}"
                )
            word_categories[word] = category
    return word_categories


def _sentence_probabilities(
    categories: Mapping[str, Sequence[str]], word_categories: Mapping[str, str], templates: Sequence[Template]
) -> dict[str, float]:
    """Return the probability of each sentence, summed over the templates that produce it."""
    if not templates:
        raise UsageError("a grammar needs at least one template")
    for template in templates:
        if not (template.weight > 0 and math.isfinite(template.weight)):
            raise UsageError(f"the weight of {template.slots!r} must be a positive number, got {template.weight}")
    total = math.fsum(template.weight for template in templates)
    probabilities: dict[str, float] = {}
    for template in templates:
        slots = [_slot_words(slot, categories, word_categories) for slot in template.slots.split()]
        if not slots:
            raise UsageError(f"a template needs at least one slot, got {template.slots!r}")
        share = template.weight / total / math.prod(map(len, slots))
        for sentence in map(" ".join, product(*slots)):
            probabilities[sentence] = probabilities.get(sentence, 0.0) + share
    return probabilities


def _slot_words(slot: str, categories: Mapping[str, Sequence[str]], word_categories: Mapping[str, str]) -> list[str]:
    """Return the words that fit a slot, each once."""
    words: dict[str, None] = {}
    for name in slot.split("|"):
        if name not in categories and name not in word_categories:
            raise UsageError(
                f"{name!r} in slot {slot!r} is neither a word nor one of the categories {', '.join(categories)}"
            )
        words |= dict.fromkeys(categories.get(name, (name,)))
    return list(words)


# The templates follow J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), section "Discovering
# lexical classes from word order" (https://doi.org/10.1207/s15516709cog1402_1): subjects, verbs and objects fit one
# another. The 35 words and the names of their 7 categories are those of quantml, "RNN"
# (https://github.com/quantml/github-quantml, folder rnn).
ELMAN = Grammar(
    {
        "NOUN_HUMAN": ["boy", "girl", "man", "woman", "king", "queen"],
        "NOUN_ANIMAL": ["cat", "dog", "lion", "bird", "fish", "mouse"],
        "NOUN_FOOD": ["bread", "cake", "apple", "milk", "cookie"],
        "NOUN_OBJECT": ["book", "rock", "glass", "plate", "ball"],
        "VERB_INTRAN": ["sleep", "walk", "think", "swim"],
        "VERB_TRAN": ["chase", "eat", "see", "break", "read", "move"],
        "VERB_PERCEPT": ["smell", "hear", "watch"],
    },
    [
        Template("DET NOUN_HUMAN VERB_INTRAN", weight=2),
        Template("DET NOUN_HUMAN eat DET NOUN_FOOD", weight=2),
        Template("DET NOUN_HUMAN see|move DET NOUN_OBJECT", weight=2),
        Template("DET NOUN_HUMAN break DET glass|plate", weight=2),
        Template("DET NOUN_HUMAN read DET book", weight=2),
        Template("DET NOUN_HUMAN see|chase DET NOUN_ANIMAL", weight=2),
        Template("DET NOUN_HUMAN see|chase DET NOUN_HUMAN", weight=2),
        Template("DET NOUN_HUMAN VERB_PERCEPT DET NOUN_HUMAN", weight=2),
        Template("DET NOUN_HUMAN VERB_PERCEPT DET NOUN_ANIMAL", weight=2),
        Template("DET NOUN_ANIMAL sleep|walk|swim"),  # animals do not think
        Template("DET NOUN_ANIMAL eat DET NOUN_FOOD"),
        Template("DET NOUN_ANIMAL see|chase DET NOUN_ANIMAL"),
        Template("DET NOUN_ANIMAL move DET NOUN_OBJECT"),
        Template("DET NOUN_ANIMAL VERB_PERCEPT DET NOUN_HUMAN"),
        Template("DET NOUN_ANIMAL VERB_PERCEPT DET NOUN_ANIMAL"),
        Template("DET lion chase|eat DET NOUN_HUMAN"),  # like the monsters in Elman (1990)
    ],
)
"""The grammar of Elman's sentences about humans, animals, food and objects."""
