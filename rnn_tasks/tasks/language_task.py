"""Base class of language tasks: at every character of a text, predict the next one."""

import hashlib
import sys
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, TaskSpec
from rnn_tasks.spec.vocabulary import UNKNOWN, Vocabulary, code_points
from rnn_tasks.tasks.stream import Stream, generator_for
from rnn_tasks.tasks.task import Task, notify
from rnn_tasks.texts.ngram import NGram, best_order

Sampling = Literal["sequential", "sequential_reset", "random", "windows"]
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
MIN_BASELINE_LOSS = 0.001
"""The lowest loss of a baseline in nats per character: n-grams predict a text that repeats itself without error."""

SLOW_BASELINE = 5_000_000
"""A baseline that counts and scores more characters than this, which takes some seconds, is announced."""


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
        self._network_vocabulary: Vocabulary | None = None
        self._cached_starts: tuple[object, Tensor] = (None, torch.empty(0))

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The characters of the task's own text; ``spec.vocabulary`` is the vocabulary in use, see :meth:`adapt_to`."""

    @abstractmethod
    def text(self, split: str) -> str:
        """Return the text of ``train``, ``val`` or ``test``."""

    @property
    def spec(self) -> TaskSpec:
        """The vocabulary, and its size as the numbers of input and output symbols."""
        vocabulary = self._network_vocabulary or self.vocabulary
        return TaskSpec(len(vocabulary), len(vocabulary), vocabulary=vocabulary)

    def adapt_to(self, spec: TaskSpec, for_training: bool = False) -> TaskSpec:
        """Encode the texts with the vocabulary of a trained network, so that it can be measured on another text.

        Characters that the network does not know become ``<unk>``; a note on stderr names them.

        Args:
            spec: The spec from which the network was built.
            for_training: Whether the network continues its training, which needs a text with the same vocabulary.

        Returns:
            The spec of this task, with the vocabulary of the network.

        Raises:
            UsageError: The network was not trained on text, or its training cannot continue on this text.
        """
        network, text = spec.vocabulary, self.vocabulary
        require(network is not None, "the network was not trained on text: use it with the task that it was trained on")
        assert network is not None
        if network == self._network_vocabulary or network.characters == text.characters:
            return self.spec
        new, missing = network.unknown(text.characters), text.unknown(network.characters)
        if for_training:
            differences = [f"new characters {shortened(new)}"] if new else []
            differences += [f"no characters {shortened(missing)}"] if missing else []
            raise UsageError(
                f"the network was trained on another text: this text has {' and '.join(differences) or 'another order'}"
                "; use the text of the run, or train from scratch with rnn-tasks fit"
            )
        if new:
            notify(f"the network was not trained on the characters {shortened(new)}: it reads them as <unk>")
        self._network_vocabulary = network
        self._symbols.clear()
        self._baselines.clear()
        for name in ("fingerprint", "baseline_symbols", "_ngram"):
            self.__dict__.pop(name, None)
        return self.spec

    @property
    def layout(self) -> list[Any]:
        """The values that determine the position of each row of each training batch in the text."""
        rows, batches = self.batch_size * self.world[1], self.train_dataloader().length
        return [rows, self.sequence_length, batches, self.sampling, self.random_offset, self.seed]

    @cached_property
    def fingerprint(self) -> str | None:
        """A hash of the training and validation texts; None if the options of the task determine the texts."""
        texts = hashlib.sha256()
        for split in ("train", "val"):
            symbols = self.symbols(split).numpy()
            texts.update(f"{split} {len(symbols)} ".encode())
            texts.update(symbols.tobytes())
        return texts.hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """Return the fingerprint of the text, for checkpoints."""
        return {"fingerprint": self.fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that training continues on the text of the checkpoint.

        Args:
            state_dict: The fingerprint of the text of the checkpoint; empty in checkpoints of older versions.

        Raises:
            UsageError: The text has changed.
        """
        if self.trainer is not None and self.trainer.state.fn not in (None, TrainerFn.FITTING):
            return  # a network can be measured on any text
        require(
            state_dict.get("fingerprint") in (None, self.fingerprint),
            "the text has changed since the checkpoint was saved: use the same file and the same options of data, or "
            "train from scratch with rnn-tasks fit",
        )

    @property
    def floor(self) -> float | None:
        """The lowest loss that any predictor can reach, in nats per character; None if unknown."""
        return None

    @property
    def baseline(self) -> Baseline:
        """The test score of the best n-gram of the training text."""
        return self.baseline_on("test")

    def baseline_on(self, split: str) -> Baseline:
        """Return the score of the best n-gram of the training text, which sees the same context as the network.

        A text that repeats itself has no lower baseline than 0.001 nats per character.

        Args:
            split: ``val`` or ``test``.
        """
        if split not in self._baselines:
            num_characters = len(self.baseline_symbols) + len(self.symbols(split))
            if num_characters > SLOW_BASELINE:
                notify(f"computing the n-gram baseline on the {split} text ({num_characters:,} characters)")
            symbols, order = self.symbols(split).numpy(), self._ngram.max_order
            starts, stops = (positions.numpy() for positions in self._pieces(split))
            loss, accuracy = self._ngram.score_pieces(symbols, order, starts, stops)
            # A network uses its context only if it beats the frequencies of single characters.
            unigram_loss, _ = self._ngram.score_pieces(symbols, 1, starts, stops)
            loss, unigram_loss = max(loss, MIN_BASELINE_LOSS), max(unigram_loss, MIN_BASELINE_LOSS)
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
        """Return the text of a split as symbols, ``(characters,)``, in the smallest signed integers that hold them."""
        if split not in self._symbols:
            self._symbols[split] = self.encoded(self.text(split))
        return self._symbols[split]

    def encoded(self, text: str) -> Tensor:
        """Return the symbols of a text in the vocabulary in use, ``(characters,)``, see :func:`encoded`."""
        return encoded(text, self._network_vocabulary or self.vocabulary)

    def check(self) -> None:
        """Fail early if the text has a single symbol, a text is too short for a batch, or the run would never end.

        Raises:
            UsageError: See above.
        """
        super().check()
        require(
            len(self.vocabulary) > 2 or len(torch.unique(self.train_symbols(0))) > 1,
            f"the training text has a single symbol ({self.vocabulary.characters or UNKNOWN!r}), so there is nothing "
            "to predict: use another text, another --data.cleaning or a smaller --data.min_count",
        )
        _ = self.epoch_batches
        for split in ("val", "test"):
            self._pieces(split)

    def train_dataloader(self) -> Stream:
        """Return the training batches of this process, from the first one that the trainer has not trained on."""
        return self.training_stream(self.train_batch)

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
        symbols, size = self.baseline_symbols.numpy(), self.spec.output_size
        return NGram(symbols, size, best_order(symbols, size))

    @property
    def baseline_symbols(self) -> Tensor:
        """The symbols that the n-gram is counted on: the training text."""
        return self.symbols("train")


def encoded(text: str, vocabulary: Vocabulary, chunk: int = 1_000_000) -> Tensor:
    """Return the symbols of a text in the smallest signed integers that hold them and ``NOT_SCORED``.

    Args:
        text: The text.
        vocabulary: The characters and their symbols.
        chunk: Number of characters that are encoded at a time, which bounds the memory.

    Example:
        >>> encoded("cab!", Vocabulary("abc"))
        tensor([3, 1, 2, 0], dtype=torch.int8)
    """
    dtype = next(dtype for dtype in (np.int8, np.int16, np.int32) if np.iinfo(dtype).max >= len(vocabulary) - 1)
    table = np.zeros(sys.maxunicode + 1, dtype)  # the symbol of each code point
    table[code_points(vocabulary.characters)] = np.arange(1, len(vocabulary))
    symbols = np.empty(len(text), dtype)
    for start in range(0, len(text), chunk):
        symbols[start : start + chunk] = table[code_points(text[start : start + chunk])]
    return torch.from_numpy(symbols)


def shortened(characters: str, limit: int = 30) -> str:
    """Return characters in quotes, without those after the first ``limit``.

    Example:
        >>> shortened("abcdef", limit=3)
        "'abc'... (6)"
    """
    return repr(characters) if len(characters) <= limit else f"{characters[:limit]!r}... ({len(characters)})"


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
    pieces = symbols[starts[:, None] + torch.arange(length + 1)].long()
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
