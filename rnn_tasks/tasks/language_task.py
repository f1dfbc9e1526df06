"""Base class of language tasks: at every character of a text, predict the next one."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks.stream import Stream, generator_for
from rnn_tasks.tasks.task import Task
from rnn_tasks.texts.ngram import NGram, best_order

Sampling = Literal["sequential", "sequential_reset", "random", "windows"]
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
MAX_ORDER = 6
"""The longest n-gram that the baseline tries."""


class LanguageTask(Task):
    """Base class of language tasks: cuts the training, validation and test texts into batches.

    ::

        text            the time traveller for so      batch_size 2, sequence_length 4
        batch 0         inputs   the_   targets   he_t
                        inputs   vell   targets   elle
        batch 1         inputs   time   targets   ime_      sequential: continues batch 0
                        inputs   er_f   targets   r_fo

    ``sequential``: the text is divided into ``batch_size`` rows of equal length, and each batch continues the rows of
    the previous batch. ``sequential_reset``: the same batches, but the state starts at zero in each batch. ``random``:
    the text is cut into pieces, which are read in random order. ``windows``: a sequence starts at every position of the
    text, in random order, so sequences overlap. The order is deterministic: it depends only on (seed, epoch). With
    several processes, each gets its share of the rows of the global batch.

    Validation and test read their whole text once, in ``eval_batch_size`` rows: with the state carried from batch to
    batch (``sequential``), in separate pieces (``sequential_reset``, ``random``), or in all windows (``windows``).

    Args:
        sampling: Method of cutting sequences from the text.
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        sequence_length: Characters per sequence, ``>= 1``.
        random_offset: Whether each epoch skips a random number of characters at the start, so that the cuts differ.
        eval_batch_size: Number of rows into which the validation and test texts are divided, ``>= 1``.
        seed: Seed of the order, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.

    Raises:
        UsageError: A value is out of bounds.
    """

    def __init__(
        self,
        sampling: Sampling,
        batch_size: int,
        sequence_length: int,
        random_offset: bool,
        eval_batch_size: int,
        seed: int | None,
    ) -> None:
        super().__init__()
        sizes = {"batch_size": batch_size, "sequence_length": sequence_length, "eval_batch_size": eval_batch_size}
        for name, value in sizes.items():
            require(value >= 1, f"{name} must be at least 1, got {value}")
        require(sampling in SAMPLINGS, f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling}")
        require(seed is None or seed >= 0, f"seed must be at least 0, got {seed}")
        self.sampling = sampling
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.random_offset = random_offset
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self._symbols: dict[str, Tensor] = {}
        self._baselines: dict[str, Baseline] = {}
        self._cached_starts: tuple[object, Tensor] = (None, torch.empty(0))

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The characters of the task."""

    @abstractmethod
    def text(self, split: str) -> str:
        """Return the text of ``train``, ``val`` or ``test``."""

    @property
    def spec(self) -> TaskSpec:
        """The vocabulary, and its size as the numbers of input and output symbols."""
        return TaskSpec(len(self.vocabulary), len(self.vocabulary), vocabulary=self.vocabulary)

    @property
    def floor(self) -> float | None:
        """The lowest loss that any predictor can reach, in nats per character; None if unknown."""
        return None

    @property
    def baseline(self) -> Baseline:
        """The test score of the best n-gram of the training text."""
        return self.baseline_on("test")

    def baseline_on(self, split: str) -> Baseline:
        """Return the score of the best n-gram of the training text, which sees the same context as the network."""
        if split not in self._baselines:
            symbols, order = self.symbols(split).numpy(), self._ngram.max_order
            pieces = [positions.numpy() for positions in self._pieces(split)]
            loss, accuracy = self._ngram.score_pieces(symbols, order, *pieces)
            # A network uses its context only if it beats the frequencies of single characters.
            unigram_loss, _ = self._ngram.score_pieces(symbols, 1, *pieces)
            self._baselines[split] = Baseline(loss, accuracy, f"{order}-gram", 0.95 * unigram_loss, self.floor)
        return self._baselines[split]

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Return whether the network predicts the text of a stage better than the best n-gram.

        Args:
            metrics: Metrics by name, including ``<stage>/loss``.
            stage: ``val`` or ``test``.
            threshold: Not used.
        """
        return metrics.get(f"{stage}/loss", float("inf")) < self.baseline_on(stage).loss

    def symbols(self, split: str) -> Tensor:
        """Return the text of a split as symbols, ``(characters,)`` int64."""
        if split not in self._symbols:
            self._symbols[split] = self.vocabulary.encode(self.text(split))
        return self._symbols[split]

    def check(self) -> None:
        """Fail early if a text is too short for a batch.

        Raises:
            UsageError: The text of a split is too short.
        """
        _ = self.epoch_batches
        for split in ("val", "test"):
            self._pieces(split)

    def train_dataloader(self) -> Stream:
        """Return the training batches of this process, from the first one that the trainer has not trained on."""
        return Stream(self.train_batch, self.trained_batches, self.epoch_batches)

    def val_dataloader(self) -> Stream:
        """Return the validation batches, with the rows of this process."""
        return self._evaluation_batches("val")

    def test_dataloader(self) -> Stream:
        """Return the test batches, with the rows of this process."""
        return self._evaluation_batches("test")

    def predict_dataloader(self) -> Stream:
        """Return the test batches, for :meth:`lightning.pytorch.Trainer.predict`."""
        return self.test_dataloader()

    @property
    def epoch_batches(self) -> int:
        """Number of training batches per epoch; the same for every random offset.

        Raises:
            UsageError: The training text is too short for one batch.
        """
        rows, length = self.batch_size * self.world[1], self.sequence_length
        characters = len(self.symbols("train")) - 1  # the last character is only a target
        if self.sampling == "windows":
            batches = -(-(characters + 1 - length) // rows)
        elif self.sampling == "random":
            batches = (characters - (length - 1 if self.random_offset else 0)) // length // rows
        else:
            batches = (characters - (length if self.random_offset else 0)) // rows // length
        if batches < 1:
            raise UsageError(
                f"the training text has {characters + 1:,} characters, too few for a batch of {rows} sequences of "
                f"{length}: use a longer text, or reduce --data.batch_size or --data.sequence_length"
            )
        return batches

    def train_batch(self, index: int) -> Batch:
        """Return the rows of a global training batch that belong to this process.

        Args:
            index: Number of the batch since the start of training, over all epochs.
        """
        epoch, index = divmod(index, self.epoch_batches)
        symbols = self.train_symbols(epoch)
        size = self.batch_size * self.world[1]
        if self.sampling in ("random", "windows"):
            starts = self._starts(epoch)[index * size : (index + 1) * size]
        else:
            starts = self._starts(epoch) + index * self.sequence_length
        continues = self.sampling == "sequential" and index > 0
        return cut(symbols, starts[self.local_rows(len(starts))], self.sequence_length, continues)

    def train_symbols(self, epoch: int) -> Tensor:
        """Return the text that the batches of an epoch are cut from, ``(characters,)``."""
        return self.symbols("train")

    def _starts(self, epoch: int) -> Tensor:
        """Return the first positions of the sequences: of all batches, or of batch 0 in the sequential samplings."""
        key = (epoch, self.seed, self.world, self.batch_size, self.sequence_length)
        if self._cached_starts[0] != key:
            self._cached_starts = (key, self._draw_starts(epoch))
        return self._cached_starts[1]

    def _draw_starts(self, epoch: int) -> Tensor:
        generator = generator_for(self.seed or 0, "train", epoch, 0)
        characters, length = len(self.train_symbols(epoch)) - 1, self.sequence_length
        if self.sampling == "windows":
            return torch.randperm(characters + 1 - length, generator=generator)
        if self.sampling == "random":
            offset = int(torch.randint(0, length, (), generator=generator)) if self.random_offset else 0
            return offset + length * torch.randperm((characters - offset) // length, generator=generator)
        offset = int(torch.randint(0, length + 1, (), generator=generator)) if self.random_offset else 0
        rows = self.batch_size * self.world[1]
        return offset + torch.arange(rows) * ((characters - offset) // rows)

    def _evaluation_batches(self, split: str) -> Stream:
        symbols, length = self.symbols(split), self.sequence_length
        if self.sampling == "windows":
            starts = torch.split(self._pieces(split)[0], self.eval_batch_size)
            return Stream(
                lambda index: cut(symbols, starts[index][self.local_rows(len(starts[index]))], length),
                length=len(starts),
            )
        rows, row_length = self._rows(split)
        # Every character is scored once; the padding of the last row is not scored.
        padded = functional.pad(symbols, (0, rows * row_length + 1 - len(symbols)), value=NOT_SCORED)
        firsts = torch.arange(rows)[self.local_rows(rows)] * row_length

        def batch(index: int) -> Batch:
            start = index * length
            continues = self.sampling == "sequential" and index > 0
            return cut(padded, firsts + start, min(length, row_length - start), continues)

        return Stream(batch, length=-(-row_length // length))

    def _rows(self, split: str) -> tuple[int, int]:
        """Return the number and the length of the rows into which an evaluation text is divided."""
        characters = len(self.symbols(split)) - 1
        require(
            characters >= 1,
            f"the {split} text must have at least 2 characters, got {characters + 1}: use a longer text, or a larger "
            "share of it",
        )
        rows = min(self.eval_batch_size, characters)
        return rows, -(-characters // rows)

    def _pieces(self, split: str) -> tuple[Tensor, Tensor]:
        """Return the first and last positions of the pieces of an evaluation text, each read from a zero state."""
        last, length = len(self.symbols(split)) - 1, self.sequence_length
        if self.sampling == "windows":
            require(
                last >= length,
                f"the {split} text has {last + 1} characters, too few for a window of {length}: use a longer text, or "
                "reduce --data.sequence_length",
            )
            starts = torch.arange(last + 1 - length)
            return starts, starts + length
        rows, row_length = self._rows(split)
        step = row_length if self.sampling == "sequential" else length
        starts = torch.arange(rows)[:, None] * row_length + torch.arange(0, row_length, step)
        ends = (torch.arange(1, rows + 1) * row_length).clamp(max=last)
        stops = torch.minimum(starts + step, ends[:, None])
        return starts.flatten(), stops.flatten()

    @cached_property
    def _ngram(self) -> NGram:
        symbols, size = self.baseline_symbols.numpy(), len(self.vocabulary)
        return NGram(symbols, size, best_order(symbols, size, MAX_ORDER))

    @property
    def baseline_symbols(self) -> Tensor:
        """The symbols that the n-gram is counted on: the training text."""
        return self.symbols("train")


def cut(symbols: Tensor, starts: Tensor, length: int, continues: bool = False) -> Batch:
    """Cut sequences out of a text; the target of each character is the next one.

    Args:
        symbols: The text, ``(characters,)``; ``NOT_SCORED`` for padding.
        starts: First position of each sequence, ``(batch,)``.
        length: Characters per sequence.
        continues: Whether the sequences continue those of the previous batch.

    Example:
        >>> cut(torch.arange(9), torch.tensor([0, 4]), 3).targets
        tensor([[1, 2, 3],
                [5, 6, 7]])
    """
    pieces = symbols[starts[:, None] + torch.arange(length + 1)]
    return Batch(pieces[:, :-1].clamp(min=0), pieces[:, 1:].contiguous(), continues=continues)


def cut_rows(symbols: Tensor, length: int) -> Batch:
    """Cut a text into consecutive sequences; the rest that is too short for a sequence is dropped.

    Args:
        symbols: The text, ``(characters,)``.
        length: Characters per sequence.

    Example:
        >>> cut_rows(torch.arange(9), 3).inputs
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    return cut(symbols, torch.arange((len(symbols) - 1) // length) * length, length)
