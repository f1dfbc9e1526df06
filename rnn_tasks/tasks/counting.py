"""Counting: strings such as a^n b^n c^n, symbol by symbol."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.lengths import draw_lengths

LanguageName = Literal["an_bn", "an_bn_cn", "an_b2n", "an_bm_cnm"]
DistributionName = Literal["uniform", "geometric", "u_shaped", "right_tailed", "left_tailed"]
SYMBOLS = "#abc"
"""The marker of the start and the end of a string, and the letters of the blocks."""

GEOMETRIC_P = 0.3
"""P(n) is proportional to ``(1 - GEOMETRIC_P)^(n - 1)`` in the distribution ``geometric``."""

BETA_BINOMIAL: dict[DistributionName, tuple[float, float]] = {
    "u_shaped": (0.25, 0.25),
    "right_tailed": (1.0, 5.0),
    "left_tailed": (5.0, 1.0),
}
"""The parameters (alpha, beta) of the beta-binomial distributions of ``n - 1``."""


class Language(NamedTuple):
    """A counting language.

    Attributes:
        blocks: The factors (i, j) of each block, whose length is ``i n + j m``.
        free: Number of blocks whose length is random. All later symbols are determined by these blocks.
    """

    blocks: tuple[tuple[int, int], ...]
    free: int = 1

    def lengths(self, n: Tensor, m: Tensor) -> Tensor:
        """Return the length of each block for numbers n and m, ``(strings,)``, as ``(strings, blocks)``."""
        return torch.stack([i * n + j * m for i, j in self.blocks], 1)


LANGUAGES: dict[LanguageName, Language] = {
    "an_bn": Language(((1, 0), (1, 0))),
    "an_bn_cn": Language(((1, 0), (1, 0), (1, 0))),
    "an_b2n": Language(((1, 0), (2, 0))),
    "an_bm_cnm": Language(((1, 0), (0, 1), (1, 1)), free=2),
}


def counting(lengths: Tensor, free: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and memory mask of strings of blocks; the class shows one of them.

    Args:
        lengths: Length of each block, ``>= 1``, ``(batch, blocks)``. The letter of block i is the symbol i + 1, and the
            marker of the start and the end is the symbol 0. Shorter strings are padded with markers that are not
            scored.
        free: Number of blocks whose length is random, ``1 <= free < blocks``.

    Returns:
        Inputs, targets and the bool mask of the steps whose target is determined by the blocks before, each
        ``(batch, 1 + longest string)``.
    """
    num_blocks = lengths.shape[1]
    ends = lengths.cumsum(1)
    time = torch.arange(int(ends[:, -1].max()) + 2)
    blocks_before = (time > ends[:, :, None]).sum(1)
    stream = (1 + blocks_before) % (num_blocks + 1)
    stream[:, 0] = 0
    time = time[:-1]
    targets = stream[:, 1:].masked_fill(time > ends[:, -1:], NOT_SCORED)
    memory = (time > ends[:, free - 1, None]) & (time <= ends[:, -1:])
    return stream[:, :-1], targets, memory


def number_probabilities(distribution: DistributionName, max_n: int) -> Tensor:
    """Return the probabilities of the numbers ``1..max_n``, ``(max_n,)`` float64.

    Args:
        distribution: See :class:`Counting`.
        max_n: The largest number, ``>= 1``.
    """
    below = torch.arange(max_n, dtype=torch.float64)
    if distribution == "uniform":
        return torch.full_like(below, 1 / max_n)
    if distribution == "geometric":
        return (math.log(1 - GEOMETRIC_P) * below).softmax(0)
    alpha, beta = BETA_BINOMIAL[distribution]
    above = max_n - 1 - below
    log_ways = -torch.lgamma(below + 1) - torch.lgamma(above + 1)
    return (log_ways + torch.lgamma(below + alpha) + torch.lgamma(above + beta)).softmax(0)


def generator_loss(lengths: Tensor, free: int, log_probability: Callable[[Tensor], Tensor]) -> float:
    """Return the mean loss of the predictor that knows how strings are generated, in nats per step.

    Such a predictor has a loss of -log P(n) in a string; the determined symbols cost nothing.

    Args:
        lengths: Length of each block of the strings on which the loss is measured, ``(strings, blocks)``.
        free: Number of blocks whose length is random.
        log_probability: Returns log P(n), in nats, of the length of a random block.
    """
    loss = -log_probability(lengths[:, :free].double()).sum()
    return loss.item() / int((lengths.sum(1) + 1).sum())


def x_log_x(value: float) -> float:
    """Return ``value * log(value)``, which is 0 for 0."""
    return value * math.log(value) if value else 0.0


class Counting(GeneratedTask):
    """Predict the next symbol of a string whose blocks have matching lengths, such as a^n b^n c^n.

    ::

        time      0 1 2 3 4 5 6
        inputs    # a a b b c c
        targets   a a b b c c #
        memory    . . . ^ ^ ^ ^

    All steps are scored. How many a's follow is random, so the loss has a floor above 0. Accuracy counts the determined
    steps, '^': from the first b on (in ``an_bm_cnm`` from the first c on), with the end of the string. A predictor that
    only repeats the last symbol is right at nearly all of them when strings are long: it has an accuracy of 0.998 for
    a^n b^n with n around 500, and every string is wrong. Therefore the task is solved when ``exact_match``, the share
    of strings without an error, reaches the threshold. The first n with an error measures how far a network counts
    (:func:`rnn_tasks.analysis.first_failure.first_failure`).

    In training, n (and m) have the distribution ``distribution``. In validation and test, n takes the values 1, 2, ...,
    ``max_n`` in rotation, and m is uniform in the same range; ``max_n`` sequences are therefore enough if there is no
    m. The length of a string is its n: ``eval_lengths`` are values of n, with m uniform in ``1..n``.

    Args:
        language: ``an_bn``, ``an_bn_cn``, ``an_b2n`` or ``an_bm_cnm``, which is a^n b^m c^(n+m).
        max_n: Largest n, and largest m, of training, validation and test, ``>= 2``.
        distribution: Distribution of n and m in training: ``uniform``; ``geometric`` with p = 0.3, cut at ``max_n``; or
            a beta-binomial distribution of n - 1 with parameters (0.25, 0.25), ``u_shaped``; (1, 5), ``right_tailed``;
            (5, 1), ``left_tailed``.
        one_length_per_batch: Whether all strings of a training batch have the same n and m, so that none is padded.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds.

    References:
        F. A. Gers and J. Schmidhuber, "LSTM recurrent networks learn simple context-free and context-sensitive
        languages", IEEE Transactions on Neural Networks 12 (2001) (https://doi.org/10.1109/72.963769). ``geometric``:
        N. Lan, M. Geyer, E. Chemla and R. Katzir, "Minimum description length recurrent neural networks", TACL 10
        (2022) (https://arxiv.org/abs/2111.00600). Beta-binomial distributions: M. Suzgun, Y. Belinkov and
        S. M. Shieber, "On evaluating the generalization of LSTM models in formal languages", SCiL 2019
        (https://arxiv.org/abs/1811.01001).

    Example:
        >>> task = Counting("an_bn", max_n=3)
        >>> task.spec.codec.decode(task.at_length(2).sample(1, "test", torch.Generator()).inputs)
        ['#aabb']
    """

    def __init__(
        self,
        language: LanguageName = "an_bn_cn",
        max_n: int = 20,
        distribution: DistributionName = "uniform",
        one_length_per_batch: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(language in LANGUAGES, f"language must be one of {', '.join(LANGUAGES)}, got {language}")
        require(max_n >= 2, f"max_n must be at least 2, got {max_n}")
        distributions = ("uniform", "geometric", *BETA_BINOMIAL)
        require(
            distribution in distributions, f"distribution must be one of {', '.join(distributions)}, got {distribution}"
        )
        self.language = LANGUAGES[language]
        self.numbers = (1, max_n)
        self.training_length = max_n
        self.distribution = distribution
        self.one_length_per_batch = one_length_per_batch

    @property
    def spec(self) -> TaskSpec:
        """The symbols are the marker '#' and the letters a, b, c."""
        size = len(self.language.blocks) + 1
        symbols = SYMBOLS[:size]
        three, two = torch.tensor([3]), torch.tensor([2])
        example = zip(symbols[1:], self.language.lengths(three, two)[0].tolist(), strict=True)
        codec = Codec(
            symbols,
            symbols,
            answer_at=symbols[1 + self.language.free :],
            sample=symbols[0] + "".join(letter * count for letter, count in example),
        )
        return TaskSpec(size, size, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses each symbol; the floor is log(number of values of n and m) per string."""
        size = len(self.language.blocks) + 1
        low, high = self.numbers
        choices = [high - low + 1, high][: self.language.free]
        floor = sum(math.log(count) for count in choices) / (1 + sum(self._mean_lengths()))
        return Baseline(math.log(size), 1 / size, floor=floor)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The best predictor that knows only the last symbol: b follows b, c follows c.

        A block of mean length L is left with probability 1/L, so its loss is L log L - (L - 1) log(L - 1).
        """
        lengths = self._mean_lengths()
        determined = lengths[self.language.free :]
        loss = sum(x_log_x(length) - x_log_x(length - 1) for length in lengths) / (1 + sum(lengths))
        accuracy = sum(max(1.0, length - 1) for length in determined) / sum(determined)
        return (Plateau("knows only the last symbol", loss, accuracy),)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by n."""
        return Grouping("length", self.numbers[1] + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with strings of one n, and m uniform in ``1..n``.

        Args:
            length: The n, ``>= 1``.
        """
        return self.changed(numbers=(length, length))

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Return whether the share of strings without an error reaches the threshold."""
        return metrics.get(f"{stage}/exact_match", 0.0) >= threshold

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw n and m for training; for validation and test, let n rotate."""
        low, high = self.numbers
        if split == "train":
            count = 1 if self.one_length_per_batch else num_sequences
            probabilities = number_probabilities(self.distribution, high - low + 1)
            drawn = low + torch.multinomial(probabilities, 2 * count, replacement=True, generator=generator)
            n, m = drawn.view(2, count).expand(2, num_sequences)
        else:
            n = draw_lengths(low, high, num_sequences, split, generator)
            m = torch.randint(1, high + 1, (num_sequences,), generator=generator)
        return Batch(*counting(self.language.lengths(n, m), self.language.free), group=n[:, None])

    def _mean_lengths(self) -> list[float]:
        """Return the mean length of each block in the test."""
        low, high = self.numbers
        return [i * (low + high) / 2 + j * (1 + high) / 2 for i, j in self.language.blocks]
