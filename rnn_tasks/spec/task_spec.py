"""The sizes and strings of a task, and the baseline that a network must beat."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rnn_tasks.spec.codec import Codec, Repeat
from rnn_tasks.spec.vocabulary import Vocabulary


@dataclass(frozen=True)
class TaskSpec:
    """The properties of a task that a model is built from. All are plain values, so that checkpoints can store them.

    Args:
        input_size: Number of input symbols.
        output_size: Number of output symbols.
        num_conditions: Number of values of ``Batch.condition``; 0 without conditions.
        blank: The input symbol that carries no information; None if there is none.
        codec: Conversion of the task's strings to symbols and back; None for a task without strings.
        vocabulary: The characters of a language task; None for other tasks.
    """

    input_size: int
    output_size: int
    num_conditions: int = 0
    blank: int | None = None
    codec: Codec | None = None
    vocabulary: Vocabulary | None = None

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
        if (self.vocabulary is None) != (network.vocabulary is None):
            return "symbols, not characters" if network.vocabulary is None else "characters of a text, not symbols"
        if self.codec is not None and network.codec is not None:
            codec, other = self.codec, network.codec
            if codec.letters != other.letters:
                return f"letters {other.letters!r}, not {codec.letters!r}"
            if codec.conditional != other.conditional:
                return "receives the delay" if other.conditional else "does not receive the delay"
            timing = (codec.symbols, codec.cue, codec.answer_per_letter)
            if timing != (other.symbols, other.cue, other.answer_per_letter):
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
        loss: Mean loss over the scored steps, nats per step.
        accuracy: Accuracy over the steps that need memory.
        name: Name of the predictor, such as ``chance`` or ``4-gram``.
        learning_loss: A network with a lower loss is learning; None for 95 % of ``loss``.
        floor: The lowest mean loss that any predictor can reach; None if unknown.
    """

    loss: float
    accuracy: float
    name: str = "chance"
    learning_loss: float | None = None
    floor: float | None = None
