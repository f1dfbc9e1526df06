"""Sentences of a small grammar, of which all is known: the exact odds of each next character, and their entropy."""

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
        slots: One for each word, with spaces between them: a category, a word, or several of them with ``|`` between
            them. The words that fit a slot are equally likely.
        weight: How often it is used, relative to the other templates, ``> 0``.
    """

    slots: str
    weight: float = 1.0


class Grammar:
    """All sentences of some templates, each with its probability.

    A text is a stream of independent sentences with single spaces between them, and without any other mark::

        the boy sleep a lion chase the mouse a queen eat the cookie the girl hear a dog ...

    No sentence followed by its space begins another sentence, so whoever reads from the left knows where each one
    ends. What can follow then depends on nothing but the characters since the last end, and the odds of the next
    character are exact. They can be had no better: their entropy is the floor of every model's mean loss.

    Args:
        categories: The words of each category; no word is in two of them.
        templates: At least one. A template may use the category ``DET``, the determiners.
        determiners: Words such as ``the``.

    Raises:
        UsageError: A category without words, a word with a space in it, a word that is in two categories, a slot that
            is neither category nor word, a weight that is not positive, or a sentence that begins another.

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
        self.word_categories = _category_of_each_word(self.categories)
        odds = _odds_of_sentences(self.categories, self.word_categories, self.templates)
        # With its space, as text is compared: a word that begins another word is no harm.
        self._endings = sorted(f"{sentence} " for sentence in odds)
        for one, next_one in pairwise(self._endings):
            if next_one.startswith(one):
                raise UsageError(f"no sentence may begin another, as {one[:-1]!r} begins {next_one[:-1]!r}")
        self.sentences = tuple(ending[:-1] for ending in self._endings)
        self.probabilities: NDArray[np.float64] = np.array([odds[sentence] for sentence in self.sentences])

    @cached_property
    def characters(self) -> str:
        """All characters that occur, the space among them, sorted; their indices are the symbols of a stream."""
        return "".join(sorted(set("".join(self._endings))))

    @cached_property
    def lexicon(self) -> frozenset[str]:
        """All words."""
        return frozenset(self.word_categories)

    def kinds(self, words: Sequence[str]) -> list[str]:
        """The category of each word, where all are words of the grammar; else none.

        Example:
            >>> ELMAN.kinds(["boy", "eat"]), ELMAN.kinds(["boy", "traveller"])
            (['NOUN_HUMAN', 'VERB_TRAN'], [])
        """
        return [self.word_categories[word] for word in words] if self.lexicon.issuperset(words) else []

    @cached_property
    def mean_length(self) -> float:
        """Expected characters of a sentence with its space."""
        return float(self.probabilities @ self._lengths)

    @cached_property
    def entropy_rate(self) -> float:
        """Nats per character of an endless text: the entropy of a sentence over its expected length."""
        return float(-self.probabilities @ np.log(self.probabilities) / self.mean_length)

    def corpus(self, num_sentences: int, seed: int) -> str:
        """A text of so many sentences.

        Args:
            num_sentences: Sentences, ``>= 1``.
            seed: Seed of their choice, ``>= 0``.

        Raises:
            UsageError: A value outside its bounds.
        """
        if num_sentences < 1:
            raise UsageError(f"num_sentences must be at least 1, got {num_sentences}")
        if seed < 0:
            raise UsageError(f"seed must be at least 0, got {seed}")
        numbers = self._draw((num_sentences,), np.random.default_rng(seed))
        return " ".join(self.sentences[number] for number in numbers)

    def stream(self, num_rows: int, num_characters: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Independent texts; each begins with a space, then with a sentence, and is cut at its end.

        Args:
            num_rows: Texts, ``>= 1``.
            num_characters: Characters of each, ``>= 1``.
            rng: Chooses the sentences.

        Returns:
            Indices into ``characters``, ``(num_rows, num_characters)``.

        Raises:
            UsageError: A value outside its bounds.
        """
        for name, value in {"num_rows": num_rows, "num_characters": num_characters}.items():
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        room = num_characters - 1  # behind the space
        numbers = self._draw((num_rows, -(-room // int(self._lengths.min()))), rng)
        lengths = self._lengths[numbers]
        starts = lengths.cumsum(axis=1) - lengths
        kept = np.clip(room - starts, 0, lengths)
        texts = self._symbols[self._places(numbers.ravel(), kept.ravel())].reshape(num_rows, room)
        space = np.full((num_rows, 1), self.characters.index(" "))
        return np.concatenate([space, texts], axis=1)

    def next_character(self, text: str) -> dict[str, float]:
        """The exact odds of the next character.

        Args:
            text: A text that begins where a sentence does, or with the space before it; it may end anywhere.

        Returns:
            The probability of each character that can come, in their order.

        Raises:
            UsageError: The text is not of this grammar.
        """
        _, rest = self._parse(text)
        low, high = self._range(rest)
        masses: dict[str, float] = {}
        for ending, probability in zip(self._endings[low:high], self.probabilities[low:high].tolist(), strict=True):
            character = ending[len(rest)]
            masses[character] = masses.get(character, 0.0) + probability
        total = math.fsum(masses.values())
        return {character: mass / total for character, mass in masses.items()}

    def log_probabilities(self, text: str) -> NDArray[np.float64]:
        """Log of the exact probability of each character, given all before it, in nats, ``(characters,)``.

        Args:
            text: A text that begins where a sentence does, or with the space before it, which is certain; it may end
                anywhere.

        Raises:
            UsageError: The text is not of this grammar.
        """
        numbers, rest = self._parse(text)
        low, _ = self._range(rest)
        lengths = np.append(self._lengths[numbers], len(rest))
        logs = self._log_odds[self._places(np.append(numbers, low), lengths)]
        return np.concatenate([np.zeros(int(text.startswith(" "))), logs])

    def lexicon_share(self, text: str) -> float:
        """Return the share of a text's words that are words of the grammar; see :func:`lexicon_share`.

        Args:
            text: A text of at least three words.

        Raises:
            UsageError: The text has fewer words.
        """
        return lexicon_share(text, self.lexicon)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {sentence: number for number, sentence in enumerate(self.sentences)}

    @cached_property
    def _word_counts(self) -> list[int]:
        """The lengths of sentences in words that occur."""
        return sorted({ending.count(" ") for ending in self._endings})

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Characters of each sentence with its space."""
        return np.array([len(ending) for ending in self._endings])

    @cached_property
    def _symbols(self) -> NDArray[np.int64]:
        """All sentences with their spaces, one behind the other, as indices into ``characters``."""
        index = {character: number for number, character in enumerate(self.characters)}
        return np.array([index[character] for character in "".join(self._endings)])

    @cached_property
    def _log_odds(self) -> NDArray[np.float64]:
        """Of each of ``_symbols``, given its sentence so far."""
        width = int(self._lengths.max())
        there = np.arange(width) < self._lengths[:, None]
        grid = np.full(there.shape, -1)
        grid[there] = self._symbols
        # The sentences that begin alike, for so many characters, are neighbours, as all are sorted.
        groups = np.zeros((len(grid), 1 + width), dtype=np.int64)
        groups[1:, 1:] = np.logical_or.accumulate(grid[1:] != grid[:-1], axis=1).cumsum(axis=0)
        masses = np.stack([np.bincount(group, self.probabilities)[group] for group in groups.T], axis=1)
        log_odds: NDArray[np.float64] = np.log((masses[:, 1:] / masses[:, :-1])[there])
        return log_odds

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of sentences."""
        cumulative = self.probabilities.cumsum()
        return np.searchsorted(cumulative / cumulative[-1], rng.random(shape), side="right")

    def _places(self, numbers: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the first so many characters of these sentences are in ``_symbols``."""
        begins = self._lengths.cumsum() - self._lengths
        shifts = begins[numbers] - (lengths.cumsum() - lengths)
        places: NDArray[np.int64] = np.arange(lengths.sum()) + np.repeat(shifts, lengths)
        return places

    def _range(self, start: str) -> tuple[int, int]:
        """First of the sentences that begin so, and the first behind them."""
        return bisect_left(self._endings, start), bisect_left(self._endings, start + chr(0x10FFFF))

    def _sentence_at(self, words: Sequence[str], first: int) -> int | None:
        """The number of the whole sentence that begins with this word; None if there is none."""
        for count in self._word_counts:
            # A word must follow: before it is the space that ends the sentence.
            if first + count < len(words):
                number = self._numbers.get(" ".join(words[first : first + count]))
                if number is not None:
                    return number
        return None

    def _parse(self, text: str) -> tuple[NDArray[np.int64], str]:
        """Numbers of the whole sentences, and what comes behind them."""
        position = int(text.startswith(" "))
        words = text[position:].split(" ")
        numbers, word = [], 0
        while (number := self._sentence_at(words, word)) is not None:
            numbers.append(number)
            position += len(self._endings[number])
            word += self._endings[number].count(" ")
        rest = text[position:]
        for end in range(1, len(rest) + 1):
            low, high = self._range(rest[:end])
            if low == high:
                raise UsageError(
                    f"no sentence of the grammar goes on with {rest[end - 1]!r} after {rest[: end - 1]!r}, "
                    f"at position {position + end - 1} of the text"
                )
        return np.array(numbers, dtype=np.int64), rest


def lexicon_share(text: str, lexicon: Container[str]) -> float:
    """Return the share of a text's words that are in a lexicon, from 0 to 1.

    The first and the last word do not count, since they may be cut.

    Args:
        text: A text of at least three words.
        lexicon: The words.

    Raises:
        UsageError: The text has fewer words.

    Example:
        >>> lexicon_share("oy the cat tha ca", {"the", "cat"})
        0.6666666666666666
    """
    words = text.split()[1:-1]
    if not words:
        raise UsageError("no whole word: a share of the lexicon needs a text of three words or more")
    return sum(word in lexicon for word in words) / len(words)


def _category_of_each_word(categories: Mapping[str, Sequence[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for category, words in categories.items():
        if not words:
            raise UsageError(f"category {category} has no words")
        for word in words:
            if word.split() != [word]:
                raise UsageError(f"a word has no space in it and is not empty, got {word!r} in {category}")
            if word in found:
                raise UsageError(f"a word is in one category, once; {word!r} is in {found[word]} and {category}")
            found[word] = category
    return found


def _odds_of_sentences(
    categories: Mapping[str, Sequence[str]], words: Mapping[str, str], templates: Sequence[Template]
) -> dict[str, float]:
    """The probability of each sentence; one that several templates make has the sum of theirs."""
    if not templates:
        raise UsageError("a grammar needs at least one template")
    for template in templates:
        if not (template.weight > 0 and math.isfinite(template.weight)):
            raise UsageError(f"the weight of {template.slots!r} must be a positive number, got {template.weight}")
    total = math.fsum(template.weight for template in templates)
    odds: dict[str, float] = {}
    for template in templates:
        slots = [_fitting(slot, categories, words) for slot in template.slots.split()]
        if not slots:
            raise UsageError("a template needs at least one slot")
        share = template.weight / total / math.prod(map(len, slots))
        for sentence in map(" ".join, product(*slots)):
            odds[sentence] = odds.get(sentence, 0.0) + share
    return odds


def _fitting(slot: str, categories: Mapping[str, Sequence[str]], words: Mapping[str, str]) -> list[str]:
    """The words that fit a slot, each once."""
    found: dict[str, None] = {}
    for name in slot.split("|"):
        if name not in categories and name not in words:
            raise UsageError(f"{name!r} is neither a category nor a word; categories: {', '.join(categories)}")
        found |= dict.fromkeys(categories.get(name, (name,)))
    return list(found)


# After J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), "Discovering lexical classes from word
# order": who does what to whom makes sense. The categories and their words are those of a course on recurrent networks.
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
        Template("DET lion chase|eat DET NOUN_HUMAN"),  # as Elman's monsters do
    ],
)
