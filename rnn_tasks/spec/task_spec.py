"""The sizes and strings of a task, and the score that its networks must beat."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rnn_tasks.spec.codec import Codec, Repeat
from rnn_tasks.spec.vocabulary import Vocabulary


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
            >>> spec = TaskSpec(3, 3, codec=Codec(" ab", "ab", cue=(Repeat(0, 1),)))
            >>> TaskSpec.from_dict(spec.to_dict()) == spec
            True
        """
        codec = values["codec"]
        if codec is not None:
            codec = Codec(**{**codec, "cue": tuple(Repeat(*run) for run in codec["cue"])})
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
