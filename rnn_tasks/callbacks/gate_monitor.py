"""What the gates do, as the network learns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis.gates import MEANING, gate_activity, gates_only
from rnn_tasks.analysis.snapshots import alphabet
from rnn_tasks.callbacks._monitor import Observer, add_picture, layer_name
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SYMBOLS = 64
"""So many can be read below a picture."""

BLANK = "\N{OPEN BOX}"


def draw_gates(gates: dict[str, Tensor], step: int, read: Sequence[str] = ()) -> "Figure":
    """What each unit's gates do along a sequence.

    Args:
        gates: From 0 to 1, ``(time, hidden_size)`` each, by ``layer/gate``.
        step: When, in optimizer steps.
        read: The symbol of each time step; empty to have the steps numbered, as many of them are.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    time = len(next(iter(gates.values())))
    with_symbols = 0 < len(read) <= MAX_SYMBOLS
    wide, high = min(max(0.095 * time, 3.5), 6.5) + 1.8, 1.9 * len(gates) + 1.0
    figure = Figure(figsize=(wide, high))
    fields = figure.subplots(len(gates), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(0.7 / wide, 0.6 / high, 1 - 1.1 / wide, 1 - 0.7 / high, hspace=0.3)
    image = None
    for field, (name, values) in zip(fields, gates.items(), strict=True):
        # As they are numbered, units say nothing.
        ordered = values[:, values.mean(0).argsort()].T.float().cpu().numpy()
        image = field.imshow(
            ordered, origin="lower", aspect="auto", interpolation="nearest", cmap="gray", vmin=0, vmax=1
        )
        meaning = MEANING.get(name.rpartition("/")[2])
        field.set_title(name if meaning is None else f"{name}: {meaning}", fontsize=10, loc="left")
        field.set_ylabel("unit")
        field.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        field.xaxis.set_major_locator(MaxNLocator(integer=True))
        field.tick_params(labelbottom=field is fields[-1])
    if with_symbols:
        fields[-1].set_xticks(range(time), [BLANK if symbol.isspace() else symbol for symbol in read], fontsize=7)
        fields[-1].set_xlabel(f"symbol that is read, step by step ({BLANK}: space)")
    else:
        fields[-1].set_xlabel("time step")
    if image is not None:
        beside = figure.add_axes((1 - 0.9 / wide, 0.6 / high, 0.15 / wide, 1 - 1.3 / high))
        figure.colorbar(image, beside, label="gate (0: shut, 1: open)")
    figure.suptitle(f"Gates at step {step:,} (units sorted by their mean)", fontsize=11)
    return figure


class GateMonitor(Observer):
    """Shows what the gates do on the first validation sequences, before training and after validations.

    Logged as ``gate/<layer>/<gate>/mean`` and ``gate/<layer>/<gate>/std``, over all units and steps of
    :func:`rnn_tasks.analysis.gate_activity`, such as ``gate/layer0/update/mean``; in TensorBoard a picture of all units
    along the first of the sequences.

    Args:
        every_n_validations: Validations between two measurements, ``>= 1``.
        num_sequences: Sequences that are looked at, ``>= 1``.
        first_picture_after: Validations before the first picture, ``>= 1``; the next ones come after twice, four times,
            ... as many, and one when training ends.
        optional: Whether a network without it is trained all the same, and not refused.

    Raises:
        UsageError: A value outside its bounds, or a layer whose gates are not known.
    """

    def __init__(
        self,
        every_n_validations: int = 1,
        num_sequences: int = 8,
        first_picture_after: int = 5,
        optional: bool = False,
    ) -> None:
        super().__init__(every_n_validations, first_picture_after, num_sequences, optional)
        self.gates: dict[str, Tensor] = {}
        self.read: list[str] = []

    def refuse(self, model: Any, probe: Batch) -> None:
        """Refuse a layer without gates."""
        if not gate_activity(model, probe):
            raise UsageError(
                f"GateMonitor knows no gates in {layer_name(model.core)}: name a GRU, an LSTM or their like"
            )

    def measure(self, model: Any, probe: Batch, step: int) -> dict[str, Tensor]:
        """Mean and standard deviation; what the gates do along the first sequence is kept for the picture."""
        gates = gates_only(gate_activity(model, probe))
        self.gates = {name: values[0] for name, values in gates.items()}
        shown = alphabet(model.spec)
        self.read = [shown[symbol] for symbol in probe.inputs[0].tolist()] if shown else []
        values: dict[str, Tensor] = {}
        for name, activity in gates.items():
            values |= {f"gate/{name}/mean": activity.mean(), f"gate/{name}/std": activity.std(correction=0)}
        return values

    def show(self, board: SummaryWriter, step: int) -> None:
        """Draw the gates along the first sequence."""
        if self.gates:
            add_picture(board, "gates", draw_gates(self.gates, step, self.read), step)
