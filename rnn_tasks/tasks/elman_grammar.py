"""Next-character prediction on sentences of a small grammar, after Elman (1990)."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks.language_task import LanguageTask, Sampling
from rnn_tasks.tasks.stream import SPLITS
from rnn_tasks.texts.grammar import ELMAN


class ElmanGrammar(LanguageTask):
    """Predict the next character of a stream of sentences, separated by single spaces only.

    The network must learn the words and their categories. The sentences are random draws from
    :data:`rnn_tasks.texts.grammar.ELMAN`, whose exact entropy rate is the lowest loss that any model can reach.
    Training reads new sentences in every epoch (an endless stream) or the same text again (a finite text); the test
    always reads new sentences.

    Args:
        num_sentences: Sentences of a finite text, ``>= 1``; its end is for validation. None for an endless stream.
        val_share: Share of a finite text for validation, ``0 < val_share < 1``.
        epoch_length: Batches per epoch of an endless stream, ``>= 1``; each epoch starts a new stream.
        val_characters: Characters of new sentences for the validation of an endless stream, ``>= 2``.
        test_characters: Characters of new sentences for the test, ``>= 2``.
        baseline_characters: Characters of an endless stream on which the n-gram baseline is counted, ``>= 2``. The
            default is the number of characters that the recipe reads in its 900 steps.
        sampling: Method of cutting sequences from the text (see :class:`LanguageTask`).
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        sequence_length: Characters per sequence, ``>= 1``.
        random_offset: Whether each epoch skips a random number of characters at the start of a finite text.
        eval_batch_size: Number of rows into which the validation and test texts are divided, ``>= 1``. A row may start
            within a word, which costs loss, so use few rows.
        seed: Seed of the sentences and of their order, ``>= 0``; None means ``seed_everything`` on the command
            line, and 0 in Python.

    Raises:
        UsageError: A value is out of bounds, or the sampling needs a finite text. Later, when the text is made: the
            text is too short for a batch.

    References:
        J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990)
        (https://doi.org/10.1207/s15516709cog1402_1).

    Example:
        >>> task = ElmanGrammar(batch_size=2, sequence_length=12)
        >>> task.vocabulary.decode(task.train_batch(0).inputs[0].tolist())[:1]
        ' '
    """

    def __init__(
        self,
        num_sentences: int | None = None,
        val_share: float = 0.1,
        epoch_length: int = 100,
        val_characters: int = 50_000,
        test_characters: int = 200_000,
        baseline_characters: int = 2_880_000,
        sampling: Sampling = "sequential",
        batch_size: int = 64,
        sequence_length: int = 50,
        random_offset: bool = True,
        eval_batch_size: int = 16,
        seed: int | None = None,
    ) -> None:
        endless = num_sentences is None
        super().__init__(
            sampling=sampling,
            batch_size=batch_size,
            sequence_length=sequence_length,
            random_offset=random_offset and not endless,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )
        require(num_sentences is None or num_sentences >= 1, f"num_sentences must be at least 1, got {num_sentences}")
        require(0 < val_share < 1, f"val_share must be above 0 and below 1, got {val_share}")
        require(epoch_length >= 1, f"epoch_length must be at least 1, got {epoch_length}")
        characters = {"val": val_characters, "test": test_characters, "baseline": baseline_characters}
        for name, value in characters.items():
            require(value >= 2, f"{name}_characters must be at least 2, got {value}")
        require(
            not endless or sampling in ("sequential", "sequential_reset"),
            f"sampling {sampling} needs a finite text: set num_sentences, or use sequential or sequential_reset",
        )
        self.num_sentences = num_sentences
        self.val_share = val_share
        self.epoch_length = epoch_length
        self.characters = characters
        self._cached_stream: tuple[object, Tensor] = (None, torch.empty(0))

    @property
    def vocabulary(self) -> Vocabulary:
        """The letters of the grammar's words, and the space."""
        return Vocabulary(ELMAN.characters, prefix="the boy")

    @property
    def floor(self) -> float:
        """The entropy rate of the stream, nats per character."""
        return ELMAN.entropy_rate

    def text(self, split: str) -> str:
        """Return the text of a split: part of the finite text, or new sentences."""
        if self.num_sentences is None or split == "test":
            symbols = self.train_symbols(0) if split == "train" else self._new_symbols(split, 0, self.characters[split])
            return self.vocabulary.decode(symbols.tolist())
        first = int(len(self._finite_text) * (1 - self.val_share))
        return self._finite_text[:first] if split == "train" else self._finite_text[first:]

    def _new_symbols(self, split: str, epoch: int, characters: int) -> Tensor:
        """Return new sentences, ``(characters,)``, which depend only on (seed, split, epoch)."""
        seeds = np.random.SeedSequence([self.seed or 0, SPLITS.index(split), epoch])
        symbols = ELMAN.stream(1, characters, np.random.default_rng(seeds))[0]
        return torch.from_numpy(symbols.astype(np.int8)) + 1  # the vocabulary's symbol 0 is <unk>

    @property
    def epoch_batches(self) -> int:
        """Number of training batches per epoch."""
        return self.epoch_length if self.num_sentences is None else super().epoch_batches

    def train_symbols(self, epoch: int) -> Tensor:
        """Return the finite text, or the stream of an epoch."""
        if self.num_sentences is not None:
            return self.symbols("train")
        key = (epoch, self.seed, self.world, self.batch_size, self.sequence_length)
        if self._cached_stream[0] != key:
            size = self.batch_size * self.world[1] * self.sequence_length * self.epoch_length
            self._cached_stream = (key, self._new_symbols("train", epoch, size + 1))
        return self._cached_stream[1]

    @cached_property
    def fingerprint(self) -> str | None:
        """A hash of the finite text; None for an endless stream, which the options determine."""
        return super().fingerprint if self.num_sentences is not None else None

    @cached_property
    def baseline_symbols(self) -> Tensor:
        """The symbols that the n-gram is counted on: the finite training text, or a stream of training sentences."""
        if self.num_sentences is not None:
            return self.symbols("train")
        symbols = self._new_symbols("train", 0, self.characters["baseline"])
        return self.encoded(self.vocabulary.characters)[symbols.long() - 1]

    @cached_property
    def _finite_text(self) -> str:
        return ELMAN.corpus(int(self.num_sentences or 0), self.seed or 0)
