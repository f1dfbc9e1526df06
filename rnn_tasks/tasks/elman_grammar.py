"""Sentences of Elman's grammar as a stream of characters, without any mark between them."""

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
    """Predict the next character of a stream of sentences: the network must find the words and what kinds there are.

    The sentences are those of :data:`rnn_tasks.texts.grammar.ELMAN`, after Elman (1990). Their entropy rate is known
    exactly, and is the floor of every model's loss. Training reads fresh sentences for ever, or again and again the
    same ones; the test is always of fresh ones.

    Args:
        num_sentences: Sentences of the text, of which the last part is for validation, ``>= 1``; None for a stream
            without end, which starts anew every ``epoch_length`` batches.
        val_share: Share of the characters of a text with an end that validation gets, ``0 < val_share < 1``.
        epoch_length: Batches in an epoch of an endless stream, ``>= 1``.
        val_characters: Characters of fresh sentences for the validation of an endless stream, ``>= 2``.
        test_characters: Characters of fresh sentences for the test, ``>= 2``.
        baseline_characters: Characters of an endless stream that the n-gram baseline is counted on, ``>= 2``.
        sampling: How sequences are cut (see :class:`LanguageTask`).
        batch_size: Sequences in a training batch of one process, ``>= 1``.
        sequence_length: Characters in a sequence, ``>= 1``.
        random_offset: Whether each epoch leaves out a few characters at the beginning of a text with an end.
        eval_batch_size: Rows in which validation and test texts are read, ``>= 1``. A row may begin in the middle of
            a word, so a few long rows are fairer than many short ones.
        seed: Seed of the sentences and of their order, ``>= 0``; None follows ``seed_everything`` on the command line,
            and is 0 elsewhere.

    Raises:
        UsageError: A value outside its bounds, or too few sentences for a batch.

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
        baseline_characters: int = 1_000_000,
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
            f"an endless stream is read in order: sampling {sampling} needs num_sentences",
        )
        self.num_sentences = num_sentences
        self.val_share = val_share
        self.epoch_length = epoch_length
        self.characters = characters
        self._stretch: tuple[object, Tensor] = (None, torch.empty(0))

    @property
    def vocabulary(self) -> Vocabulary:
        """The letters of the words, and the space."""
        return Vocabulary(ELMAN.characters, prefix="the boy")

    @property
    def floor(self) -> float:
        """The entropy rate of the stream, nats per character."""
        return ELMAN.entropy_rate

    def text(self, split: str) -> str:
        """The text with an end, or fresh sentences."""
        if self.num_sentences is None or split == "test":
            symbols = self.fresh(split, 0, self.characters[split]) if split != "train" else self.train_symbols(0)
            return self.vocabulary.decode(symbols.tolist())
        first = int(len(self._corpus) * (1 - self.val_share))
        return self._corpus[:first] if split == "train" else self._corpus[first:]

    def fresh(self, split: str, epoch: int, characters: int) -> Tensor:
        """So many characters of new sentences, ``(characters,)``, a function of seed, split and epoch."""
        words = np.random.SeedSequence([self.seed or 0, SPLITS.index(split), epoch])
        symbols = ELMAN.stream(1, characters, np.random.default_rng(words))[0]
        return torch.from_numpy(symbols.astype(np.int64)) + 1  # the vocabulary's symbol 0 is <unk>

    @property
    def epoch_batches(self) -> int:
        """Training batches in an epoch."""
        return self.epoch_length if self.num_sentences is None else super().epoch_batches

    def train_symbols(self, epoch: int) -> Tensor:
        """The text, or the stretch of the stream that an epoch reads."""
        if self.num_sentences is not None:
            return self.symbols("train")
        of = (epoch, self.seed, self.world, self.batch_size, self.sequence_length)
        if self._stretch[0] != of:
            size = self.batch_size * self.world[1] * self.sequence_length * self.epoch_length
            self._stretch = (of, self.fresh("train", epoch, size + 1))
        return self._stretch[1]

    @property
    def baseline_symbols(self) -> Tensor:
        """The text with an end, or ``baseline_characters`` of the stream."""
        if self.num_sentences is not None:
            return self.symbols("train")
        return self.fresh("train", 0, self.characters["baseline"])

    @cached_property
    def _corpus(self) -> str:
        return ELMAN.corpus(int(self.num_sentences or 0), self.seed or 0)
