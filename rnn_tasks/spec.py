"""What tasks and models say to each other: the batch, the task's sizes, and its strings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.vocabulary import Vocabulary

NOT_SCORED = -100
"""Target of a step that is not scored: the ``ignore_index`` of torch's losses."""


class Batch(NamedTuple):
    """One batch of any task, batch first.

    Attributes:
        inputs: Symbols, ``(batch, time)`` int64.
        targets: Symbols, ``(batch, time)`` int64, ``NOT_SCORED`` where a step is not scored.
        memory: ``(batch, time)`` bool, the scored steps that need memory; None when all scored steps do.
        condition: ``(batch,)`` int64, what the network is told about each sequence; None when nothing.
        continues: Whether the rows go on where those of the previous batch ended.
    """

    inputs: Tensor
    targets: Tensor
    memory: Tensor | None = None
    condition: Tensor | None = None
    continues: bool = False

    @property
    def scored(self) -> Tensor:
        """``(batch, time)`` bool: the steps that the loss is taken over."""
        return self.targets != NOT_SCORED

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device. That it has this method spares Lightning a search for its tensors at every step."""
        if self.inputs.device == torch.device(device):
            return self
        tensors = ("inputs", "targets", "memory", "condition")
        found = {name: getattr(self, name) for name in tensors}
        return self._replace(**{name: part.to(device) for name, part in found.items() if part is not None})

    def rows(self, start: int, stop: int) -> "Batch":
        """The sequences ``start`` to ``stop - 1``."""
        return self._chosen(slice(start, stop))

    def distinct(self, at_least: int = 1) -> "Batch":
        """One sequence of those that follow one another and differ in their condition alone; conditions take turns.

        Args:
            at_least: The batch stays as it is if fewer than so many sequences would be left.

        Example:
            >>> columns = torch.arange(4)[:, None]
            >>> batch = Batch(columns // 2, columns, condition=torch.tensor([0, 1, 0, 1]))
            >>> batch.distinct().inputs.flatten(), batch.distinct().condition
            (tensor([0, 1]), tensor([0, 1]))
        """
        if self.condition is None:
            return self
        _, counts = torch.unique_consecutive(self.inputs, return_counts=True, dim=0)
        if len(counts) < at_least:
            return self
        turn = torch.arange(len(counts), device=counts.device) % counts
        return self._chosen(counts.cumsum(0) - counts + turn)

    def _chosen(self, rows: slice | Tensor) -> "Batch":
        return self._replace(
            **{
                name: getattr(self, name)[rows]
                for name in ("inputs", "targets", "memory", "condition")
                if getattr(self, name) is not None
            }
        )


class Run(NamedTuple):
    """A symbol repeated ``per_delay * delay + per_letter * letters + constant`` times."""

    symbol: int
    per_delay: int = 0
    per_letter: int = 0
    constant: int = 0

    def length(self, delay: int, letters: int) -> int:
        """How often the symbol is repeated for this delay and this number of letters."""
        return self.per_delay * delay + self.per_letter * letters + self.constant


@dataclass(frozen=True)
class Codec:
    """How a task's strings become symbols, and its symbols strings; plain values only.

    Args:
        symbols: The character that shows each symbol, by index.
        letters: Those of them that a user may write.
        cue: What follows the user's letters in the input.
        answer_per_letter: The answer starts at step ``delay + answer_per_letter * letters``.
        min_delay: Shortest delay that the task knows.
        max_delay: Longest delay that the task knows; when equal to ``min_delay``, it need not be given.
        conditional: Whether the network is told the delay.
        num_letters: Number of letters in training, 0 when any number does.

    Example:
        >>> codec = Codec(" abc", "abc", min_delay=2, max_delay=2)
        >>> codec.encode(["abcab"]).inputs
        tensor([[1, 2, 3, 1, 2]])
        >>> codec.decode(codec.encode(["abcab"]).targets)
        ['     ']
    """

    symbols: str
    letters: str
    cue: tuple[Run, ...] = ()
    answer_per_letter: int = 0
    min_delay: int = 0
    max_delay: int = 0
    conditional: bool = False
    num_letters: int = 0

    def delay(self, delay: int | None) -> int:
        """The delay to use when the user gave ``delay``.

        Raises:
            UsageError: It is missing, or the task does not know it.
        """
        known = (
            f"{self.min_delay}" if self.min_delay == self.max_delay else f"one of {self.min_delay}..{self.max_delay}"
        )
        if delay is None:
            if self.min_delay != self.max_delay:
                raise UsageError(f"this network was trained on several delays: give --delay, {known}")
            return self.min_delay
        if not self.min_delay <= delay <= self.max_delay:
            raise UsageError(f"this network was not trained on a delay of {delay}; it knows {known}")
        return delay

    def encode(self, texts: Sequence[str], delay: int | None = None) -> Batch:
        """The batch that asks the network for its answers to ``texts``.

        Shorter texts are filled up at the end, which a network that reads from left to right cannot notice.
        Targets are ``NOT_SCORED`` outside the answer and 0 in it: they only mark where the answer stands.

        Raises:
            UsageError: A letter that the task does not have, an empty text, or an unknown delay.
        """
        delay = self.delay(delay)
        if not texts or not all(texts):
            raise UsageError(f"nothing to answer: give at least one of the letters {self.letters}")
        rows, marks = [], []
        for text in texts:
            symbols = [self.index(letter) for letter in text]
            cue = [run.symbol for run in self.cue for _ in range(max(0, run.length(delay, len(symbols))))]
            rows.append(torch.tensor(symbols + cue))
            marks.append(torch.full((len(rows[-1]),), NOT_SCORED))
            marks[-1][delay + self.answer_per_letter * len(symbols) :] = 0
        return Batch(
            inputs=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            targets=torch.nn.utils.rnn.pad_sequence(marks, batch_first=True, padding_value=NOT_SCORED),
            condition=torch.full((len(rows),), delay) if self.conditional else None,
        )

    def example(self) -> str:
        """Words of a command line that ask the network something.

        Example:
            >>> Codec(" abc", "abc", max_delay=4, conditional=True).example()
            'abcabca --delay 2'
        """
        delay = (self.min_delay + self.max_delay) // 2
        size = self.num_letters or max(7, delay + 3)  # longer than the delay, so that there is an answer
        text = (self.letters * size)[:size]
        return text if self.min_delay == self.max_delay else f"{text} --delay {delay}"

    def lengths(self, texts: Sequence[str], delay: int | None = None) -> list[int]:
        """The number of steps that each text takes, its cue included."""
        delay = self.delay(delay)
        return [len(text) + sum(max(0, run.length(delay, len(text))) for run in self.cue) for text in texts]

    def decode(self, symbols: Tensor) -> list[str]:
        """One string for each row of ``(batch, time)``; ``NOT_SCORED`` is shown empty."""
        return ["".join(" " if index < 0 else self.symbols[index] for index in row) for row in symbols.tolist()]

    def index(self, letter: str) -> int:
        """The symbol of a letter that a user wrote.

        Raises:
            UsageError: The task has no such letter.
        """
        if letter not in self.letters:
            raise UsageError(f"{letter!r} is not in this network's alphabet, {self.letters}")
        return self.symbols.index(letter)


@dataclass(frozen=True)
class TaskSpec:
    """What a model needs to know about its task; plain values only, so that a checkpoint can hold it.

    Args:
        input_size: Number of input symbols.
        output_size: Number of output symbols.
        num_conditions: Number of values of ``Batch.condition``, 0 when there is none.
        blank: The input symbol that carries no information, or None.
        codec: The task's strings, or None when it has none.
        vocabulary: The characters of a task whose sequences are text, or None.
    """

    input_size: int
    output_size: int
    num_conditions: int = 0
    blank: int | None = None
    codec: Codec | None = None
    vocabulary: Vocabulary | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which :meth:`from_dict` makes an equal spec."""
        values = asdict(self)
        if self.codec is not None:
            values["codec"]["cue"] = [list(run) for run in self.codec.cue]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TaskSpec":
        """The spec whose :meth:`to_dict` gave ``values``.

        Example:
            >>> spec = TaskSpec(3, 3, codec=Codec(" ab", "ab", cue=(Run(0, 1),)))
            >>> TaskSpec.from_dict(spec.to_dict()) == spec
            True
        """
        codec = values["codec"]
        if codec is not None:
            codec = Codec(**{**codec, "cue": tuple(Run(*run) for run in codec["cue"])})
        vocabulary = values.get("vocabulary")
        if vocabulary is not None:
            vocabulary = Vocabulary(**vocabulary)
        return cls(**{**values, "codec": codec, "vocabulary": vocabulary})


class Baseline(NamedTuple):
    """What a predictor scores that has learnt nothing but the timing of the task, or for text one that counts.

    Attributes:
        loss: Mean loss over the scored steps, nats.
        accuracy: Share of right answers on the steps that need memory.
        name: What the predictor is.
        learning_loss: A loss below this one shows that something was learnt; None for 95 % of ``loss``.
        floor: The least mean loss that any predictor can have, where it is known.
    """

    loss: float
    accuracy: float
    name: str = "chance"
    learning_loss: float | None = None
    floor: float | None = None
