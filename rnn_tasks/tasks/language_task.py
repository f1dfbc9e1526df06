"""Tasks whose sequences are cut from a text: at every character, the next one is to be predicted."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

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
MAX_ORDER = 6


class LanguageTask(Task):
    """Cuts batches out of the training text, and validation and test batches out of theirs.

    ::

        text            the time traveller for so      batch_size 2, sequence_length 4
        batch 0         inputs   the_   targets   he_t
                        inputs   vell   targets   elle
        batch 1         inputs   time   targets   ime_      sequential: goes on where batch 0 ended
                        inputs   er_f   targets   r_fo

    ``sequential``: the text is laid out in ``batch_size`` rows of equal length, and each batch continues the one
    before. ``sequential_reset``: the same batches, but the state starts at zero in each. ``random``: the text is cut
    into pieces that come in random order. ``windows``: every position of the text starts a sequence, in random order,
    so neighbouring sequences overlap. The order of an epoch is a function of seed and epoch; with several processes
    each takes its rows of the global batch.

    Validation and test read their whole text once, ``eval_batch_size`` rows of it at a time, as training reads its
    own: with the state carried (``sequential``), in separate pieces (``sequential_reset``, ``random``), or in all
    windows (``windows``).

    Args:
        sampling: How sequences are cut.
        batch_size: Sequences in a training batch of one process, ``>= 1``.
        sequence_length: Characters in a sequence, ``>= 1``.
        random_offset: Whether each epoch leaves out a few characters at the beginning, so that the cuts differ.
        eval_batch_size: Rows in which validation and test texts are read, ``>= 1``.
        seed: Seed of the order, ``>= 0``; None follows ``seed_everything`` on the command line, and is 0 elsewhere.

    Raises:
        UsageError: A value outside its bounds, or a text that is too short for a batch.
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
        require(seed is None or seed >= 0, f"seed must be at least 0, got {seed}")
        self.sampling = sampling
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.random_offset = random_offset
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self._symbols: dict[str, Tensor] = {}
        self._baselines: dict[str, Baseline] = {}
        self._drawn: tuple[object, Tensor] = (None, torch.empty(0))

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The characters of the task."""

    @abstractmethod
    def text(self, split: str) -> str:
        """The text of ``train``, ``val`` or ``test``."""

    @property
    def spec(self) -> TaskSpec:
        """As many symbols in as out."""
        return TaskSpec(len(self.vocabulary), len(self.vocabulary), vocabulary=self.vocabulary)

    @property
    def floor(self) -> float | None:
        """The least loss that any predictor can have, nats per character, where it is known."""
        return None

    @property
    def baseline(self) -> Baseline:
        """The best n-gram of the training text, on the test text."""
        return self.baseline_on("test")

    def baseline_on(self, split: str) -> Baseline:
        """The best n-gram of the training text, which reads of the text of a split what the network reads of it."""
        if split not in self._baselines:
            symbols, order = self.symbols(split).numpy(), self._ngram.max_order
            pieces = [places.numpy() for places in self._pieces(split)]
            loss, accuracy = self._ngram.score_pieces(symbols, order, *pieces)
            # Better than the frequencies of single characters: only then has a network read more than one of them.
            single, _ = self._ngram.score_pieces(symbols, 1, *pieces)
            self._baselines[split] = Baseline(loss, accuracy, f"{order}-gram", 0.95 * single, self.floor)
        return self._baselines[split]

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 0.99) -> bool:
        """Whether the network predicts the text of a stage better than the best n-gram.

        Args:
            metrics: Metrics by name, ``<stage>/loss`` among them.
            stage: The stage to look at.
            threshold: Not used.
        """
        return metrics.get(f"{stage}/loss", float("inf")) < self.baseline_on(stage).loss

    def symbols(self, split: str) -> Tensor:
        """The text of a split as symbols, ``(characters,)`` int64."""
        if split not in self._symbols:
            self._symbols[split] = self.vocabulary.encode(self.text(split))
        return self._symbols[split]

    def check(self) -> None:
        """Look whether the texts are long enough.

        Raises:
            UsageError: One of them is not.
        """
        _ = self.epoch_batches
        for split in ("val", "test"):
            self._pieces(split)

    def train_dataloader(self) -> Stream:
        """The training batches of this process, going on where the trainer has got to."""
        return Stream(self.train_batch, self.trained_batches, self.epoch_batches)

    def val_dataloader(self) -> Stream:
        """The validation text, this process's rows of it."""
        return self._evaluation_batches("val")

    def test_dataloader(self) -> Stream:
        """The test text, this process's rows of it."""
        return self._evaluation_batches("test")

    def predict_dataloader(self) -> Stream:
        """The test text."""
        return self.test_dataloader()

    @property
    def epoch_batches(self) -> int:
        """Training batches in an epoch, the same for every offset.

        Raises:
            UsageError: Not even one.
        """
        rows, length = self.batch_size * self.world[1], self.sequence_length
        characters = len(self.symbols("train")) - 1  # the last one is a target only
        if self.sampling == "windows":
            batches = -(-(characters + 1 - length) // rows)
        elif self.sampling == "random":
            batches = (characters - (length - 1 if self.random_offset else 0)) // length // rows
        else:
            batches = (characters - (length if self.random_offset else 0)) // rows // length
        if batches < 1:
            raise UsageError(
                f"the training text has {characters + 1:,} characters, too few for a batch of {rows} sequences of "
                f"{length}; give a longer text, or smaller --data.batch_size and --data.sequence_length"
            )
        return batches

    def train_batch(self, index: int) -> Batch:
        """This process's rows of a global training batch.

        Args:
            index: Number of the batch, counted over all epochs.
        """
        epoch, index = divmod(index, self.epoch_batches)
        symbols = self.train_symbols(epoch)
        size = self.batch_size * self.world[1]
        if self.sampling in ("random", "windows"):
            starts = self._starts(epoch)[index * size : (index + 1) * size]
        else:
            starts = self._starts(epoch) + index * self.sequence_length
        continues = self.sampling == "sequential" and index > 0
        return cut(symbols, starts[self.own_rows(len(starts))], self.sequence_length, continues)

    def train_symbols(self, epoch: int) -> Tensor:
        """The text that an epoch is cut from, ``(characters,)``."""
        return self.symbols("train")

    def _starts(self, epoch: int) -> Tensor:
        """Where the sequences of an epoch start: of every batch in turn, or of the first one where others follow it."""
        of = (epoch, self.seed, self.world, self.batch_size, self.sequence_length)
        if self._drawn[0] != of:
            self._drawn = (of, self._draw_starts(epoch))
        return self._drawn[1]

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
                lambda index: cut(symbols, starts[index][self.own_rows(len(starts[index]))], length), length=len(starts)
            )
        rows, row_length = self._rows(split)
        # Every character is scored once; what the last row lacks is not scored.
        padded = functional.pad(symbols, (0, rows * row_length + 1 - len(symbols)), value=NOT_SCORED)
        firsts = torch.arange(rows)[self.own_rows(rows)] * row_length

        def batch(index: int) -> Batch:
            start = index * length
            continues = self.sampling == "sequential" and index > 0
            return cut(padded, firsts + start, min(length, row_length - start), continues)

        return Stream(batch, length=-(-row_length // length))

    def _rows(self, split: str) -> tuple[int, int]:
        """Number and length of the rows in which an evaluation text is read."""
        characters = len(self.symbols(split)) - 1
        require(characters >= 1, f"the {split} text has {characters + 1} characters, too few to predict one")
        rows = min(self.eval_batch_size, characters)
        return rows, -(-characters // rows)

    def _pieces(self, split: str) -> tuple[Tensor, Tensor]:
        """Where the state starts at zero in an evaluation text, and the last position that is predicted from there."""
        last, length = len(self.symbols(split)) - 1, self.sequence_length
        if self.sampling == "windows":
            require(last >= length, f"the {split} text is shorter than a window of {length} characters")
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
        """What the n-gram is counted on: the training text."""
        return self.symbols("train")


def cut(symbols: Tensor, starts: Tensor, length: int, continues: bool = False) -> Batch:
    """Sequences of a text, each with the text one character later as its target.

    Args:
        symbols: The text, ``(characters,)``; characters that are not to be scored are ``NOT_SCORED``.
        starts: First position of each sequence, ``(batch,)``.
        length: Characters in a sequence.
        continues: Whether they go on where those of the previous batch ended.

    Example:
        >>> cut(torch.arange(9), torch.tensor([0, 4]), 3).targets
        tensor([[1, 2, 3],
                [5, 6, 7]])
    """
    pieces = symbols[starts[:, None] + torch.arange(length + 1)]
    return Batch(pieces[:, :-1].clamp(min=0), pieces[:, 1:].contiguous(), continues=continues)
