"""The share of saturated hidden states during training."""

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import hidden_states, saturation
from rnn_tasks.analysis.snapshots import has_bounds
from rnn_tasks.callbacks._monitor import Monitor
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network, layer_name
from rnn_tasks.spec import Batch


class SaturationMonitor(Monitor):
    """Logs the share of hidden states that are near -1 or 1, where tanh is flat and its gradient vanishes.

    Measures on the first validation sequences, before training and after validations. Logs ``saturation/share`` and,
    in TensorBoard, ``saturation/units``, a histogram of the share of each unit.

    Args:
        threshold: A hidden state is saturated if its absolute value is above this threshold, ``0 < threshold < 1``.
        every_n_validations: Validations between two measurements, ``>= 1``.
        num_sequences: The number of validation sequences, ``>= 1``.
        optional: Whether to print one line and skip the monitor, instead of raising, if it does not support the layer.

    Raises:
        UsageError: A value outside its bounds, or a layer whose hidden states can leave -1..1.
    """

    def __init__(
        self,
        threshold: float = 0.95,
        every_n_validations: int = 1,
        num_sequences: int = 8,
        optional: bool = False,
    ) -> None:
        super().__init__(every_n_validations, every_n_validations, num_sequences, optional)
        if not 0 < threshold < 1:
            raise UsageError(f"threshold must be above 0 and below 1, got {threshold}")
        self.threshold = threshold
        self.shares: Tensor | None = None

    def is_drawn(self, validations: int) -> bool:
        """Return True after each measurement: a histogram is written as fast as a scalar."""
        return validations % self.every_n_validations == 0

    def check_supported(self, network: Network, sequences: Batch) -> None:
        """Raise if the layer's hidden states are unbounded."""
        if not has_bounds(network.core):
            raise UsageError(
                f"SaturationMonitor needs hidden states in -1..1; this {layer_name(network.core)} has unbounded states"
            )

    def measure(self, network: Network, sequences: Batch, step: int) -> dict[str, Tensor]:
        """Return the share of the whole layer, and keep the share of each unit for the histogram."""
        self.shares = saturation(hidden_states(network, sequences), self.threshold)
        return {"saturation/share": self.shares.mean()}

    def show(self, writer: SummaryWriter, step: int) -> None:
        """Write the histogram."""
        if self.shares is not None:
            writer.add_histogram("saturation/units", self.shares.cpu(), step)
