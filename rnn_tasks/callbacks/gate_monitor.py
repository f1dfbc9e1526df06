"""What the gates do, as the network learns."""

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis.gates import gate_activity, gates_only
from rnn_tasks.analysis.snapshots import alphabet
from rnn_tasks.callbacks._monitor import Monitor, add_picture, layer_name
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.plots.gates import draw_gates
from rnn_tasks.plots.style import WIDE
from rnn_tasks.spec import Batch


class GateMonitor(Monitor):
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

    def check_supported(self, network: Network, probe: Batch) -> None:
        """Refuse a layer without gates."""
        if not gate_activity(network, probe):
            raise UsageError(
                f"GateMonitor knows no gates in {layer_name(network.core)}: name a GRU, an LSTM or their like"
            )

    def measure(self, network: Network, probe: Batch, step: int) -> dict[str, Tensor]:
        """Mean and standard deviation; what the gates do along the first sequence is kept for the picture."""
        gates = gates_only(gate_activity(network, probe))
        self.gates = {name: values[0] for name, values in gates.items()}
        shown = alphabet(network.spec)
        self.read = [shown[symbol] for symbol in probe.inputs[0].tolist()] if shown else []
        values: dict[str, Tensor] = {}
        for name, activity in gates.items():
            values |= {f"gate/{name}/mean": activity.mean(), f"gate/{name}/std": activity.std(correction=0)}
        return values

    def show(self, board: SummaryWriter, step: int) -> None:
        """Draw the gates along the first sequence."""
        if self.gates:
            gates = {name: values.float().cpu().numpy() for name, values in self.gates.items()}
            figure = draw_gates(gates, self.read, WIDE)
            figure.suptitle(f"Gates at step {step:,}", fontsize=11)
            add_picture(board, "gates", figure, step)
