"""The sizes and strings of a task, and the baseline that a network must beat."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from rnn_tasks.spec.codec import Codec, Repeat
from rnn_tasks.spec.vocabulary import Vocabulary


@dataclass(frozen=True)
class TaskSpec:
    """The properties of a task that a model is built from. All are plain values, so that checkpoints can store them.

    Args:
        input_size: Number of input symbols, or of real input features per step.
        output_size: Number of output symbols, or of real values per step.
        num_conditions: Number of values of ``Batch.condition``; 0 without conditions.
        blank: The input symbol that carries no information; None if there is none.
        codec: Conversion of the task's strings to symbols and back; None for a task without strings.
        vocabulary: The characters of a language task; None for other tasks.
        real_inputs: Whether the inputs are real features instead of symbols.
        real_targets: Whether the targets are real values instead of symbols.
    """

    input_size: int
    output_size: int
    num_conditions: int = 0
    blank: int | None = None
    codec: Codec | None = None
    vocabulary: Vocabulary | None = None
    real_inputs: bool = False
    real_targets: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain values, the inverse of :meth:`from_dict`."""
        values = asdict(self)
        if self.codec is not None:
            values["codec"]["cue"] = [list(part) for part in self.codec.cue]
        return values

    def difference_from(self, network: "TaskSpec") -> str | None:
        """Return in what a network was trained on other symbols than those of this task.

        Delays and numbers of letters may differ. The network may know more conditions than the task has.

        Args:
            network: The spec from which the network was built.

        Returns:
            The first difference, such as ``letters 'abc', not 'ab'``; None if the symbols mean the same.

        Example:
            >>> TaskSpec(3, 3, codec=Codec(" ab", "ab")).difference_from(TaskSpec(4, 4, codec=Codec(" abc", "abc")))
            "letters 'abc', not 'ab'"
        """
        for name in ("inputs", "targets"):
            real = getattr(network, f"real_{name}")
            if getattr(self, f"real_{name}") != real:
                return f"{name} that are {'real numbers, not symbols' if real else 'symbols, not real numbers'}"
        if (self.vocabulary is None) != (network.vocabulary is None):
            return "symbols, not characters" if network.vocabulary is None else "characters of a text, not symbols"
        if self.codec is not None and network.codec is not None:
            codec, other = self.codec, network.codec
            if codec.letters != other.letters:
                return f"letters {other.letters!r}, not {codec.letters!r}"
            if codec.conditional != other.conditional:
                return "receives the delay" if other.conditional else "does not receive the delay"
            if codec.layout != other.layout:
                return "another layout of the inputs after the letters"
        elif self.codec != network.codec:
            return "symbols without letters" if network.codec is None else f"letters {network.codec.letters!r}"
        for name in ("input_size", "output_size", "blank"):
            if getattr(self, name) != getattr(network, name):
                return f"{name} {getattr(network, name)}, not {getattr(self, name)}"
        if self.num_conditions > network.num_conditions:
            return f"{network.num_conditions} delays, not {self.num_conditions}"
        return None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TaskSpec":
        """Return the spec of plain values, the inverse of :meth:`to_dict`.

        Example:
            >>> spec = TaskSpec(3, 3, codec=Codec(" ab", "ab", cue=(Repeat(0, 1),)))
            >>> TaskSpec.from_dict(spec.to_dict()) == spec
            True
        """
        codec = values["codec"]
        if codec is not None:
            codec = Codec(**{**codec, "cue": tuple(Repeat(*part) for part in codec["cue"])})
        vocabulary = values.get("vocabulary")
        if vocabulary is not None:
            vocabulary = Vocabulary(**vocabulary)
        return cls(**{**values, "codec": codec, "vocabulary": vocabulary})


class Baseline(NamedTuple):
    """The score of a simple predictor: one that knows only the timing of a task, or an n-gram for text.

    Attributes:
        loss: Mean loss over the scored steps: nats per step, or the mean squared error of real values.
        accuracy: Accuracy over the steps that need memory; NaN for real values.
        name: Name of the predictor, such as ``chance`` or ``4-gram``.
        learning_loss: A network with a lower loss is learning; None for 95 % of ``loss``.
        floor: The lowest mean loss that any predictor can reach; None if unknown.
    """

    loss: float
    accuracy: float = math.nan
    name: str = "chance"
    learning_loss: float | None = None
    floor: float | None = None


BEST_POSSIBLE = "best possible"
"""The name of the reference with the highest accuracy that any predictor can reach, if it is below 1."""


class Plateau(NamedTuple):
    """The score of a predictor that is shown beside the baseline.

    Attributes:
        name: The predictor, such as ``knows only the latest mark``.
        loss: Mean loss over the scored steps, in the unit of ``Baseline.loss``; None if unknown.
        accuracy: Accuracy over the steps that need memory; None if unknown, and for real values.
        kind: ``plateau`` for a partial solution of the task, at which training may stay for a while; ``reference`` for
            any other predictor, such as a regression or the best possible one.
    """

    name: str
    loss: float | None = None
    accuracy: float | None = None
    kind: Literal["plateau", "reference"] = "plateau"


class Grouping(NamedTuple):
    """What the values of ``Batch.group`` mean.

    Attributes:
        name: The name of the quantity, such as ``lag``, ``depth`` or ``length``; lower-case letters and underscores.
        size: The values are in ``0..size - 1``.
    """

    name: str
    size: int
