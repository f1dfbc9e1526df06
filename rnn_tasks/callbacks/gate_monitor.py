"""The activity of the gates during training."""

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis.gates import SUPPORTED, gate_activity, gates_only
from rnn_tasks.analysis.snapshots import alphabet
from rnn_tasks.callbacks._monitor import Monitor, add_picture
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network, layer_name
from rnn_tasks.plots.gates import draw_gates
from rnn_tasks.plots.style import WIDE
from rnn_tasks.spec import Batch


class GateMonitor(Monitor):
    """Logs the activity of the gates on the first validation sequences, before training and after validations.

    Logs ``gate/<layer>/<gate>/mean`` and ``gate/<layer>/<gate>/std``, such as ``gate/layer0/update/mean``: mean and
    standard deviation of :func:`rnn_tasks.analysis.gate_activity` over all units and steps. In TensorBoard it draws
    the gates of all units along the first sequence.

    Args:
        every_n_validations: Validations between two measurements, ``>= 1``.
        num_sequences: The number of validation sequences, ``>= 1``.
        first_picture_after: Validations before the first picture, ``>= 1``. Later pictures follow after 2, 4, 8, ...
            times as many validations; the last is drawn when training ends.
        optional: Whether to print one line and skip the monitor, instead of raising, if it does not support the layer.

    Raises:
        UsageError: A value outside its bounds, or a layer without gates, or with gates that this package cannot read.
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
        self.inputs: list[str] = []

    def check_supported(self, network: Network, sequences: Batch) -> None:
        """Raise if the layer has no known gates."""
        if not gate_activity(network, sequences):
            raise UsageError(f"GateMonitor knows no gates in {layer_name(network.core)}: it supports {SUPPORTED}")

    def measure(self, network: Network, sequences: Batch, step: int) -> dict[str, Tensor]:
        """Return mean and standard deviation of each gate, and keep the gates along the first sequence."""
        gates = gates_only(gate_activity(network, sequences))
        self.gates = {name: values[0] for name, values in gates.items()}
        letters = alphabet(network.spec)
        self.inputs = [letters[symbol] for symbol in sequences.inputs[0].tolist()] if letters else []
        values: dict[str, Tensor] = {}
        for name, activity in gates.items():
            values |= {f"gate/{name}/mean": activity.mean(), f"gate/{name}/std": activity.std(correction=0)}
        return values

    def show(self, writer: SummaryWriter, step: int) -> None:
        """Draw the gates along the first sequence."""
        if self.gates:
            gates = {name: values.float().cpu().numpy() for name, values in self.gates.items()}
            figure = draw_gates(gates, self.inputs, WIDE)
            figure.suptitle(f"Gates at step {step:,}", fontsize=11)
            add_picture(writer, "gates", figure, step)
