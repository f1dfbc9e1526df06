"""How much of the layer is at its bounds, as the network learns."""

from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import hidden_states, saturation
from rnn_tasks.analysis.snapshots import has_bounds
from rnn_tasks.callbacks._monitor import Observer, layer_name
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch


class SaturationMonitor(Observer):
    """Logs the share of hidden states that are near their bounds, where tanh is flat and lets no gradient through.

    Measured on the first validation sequences, before training and after validations. Logged as ``saturation/share``;
    in TensorBoard a histogram of the units' shares, ``saturation/units``.

    Args:
        threshold: A unit is saturated where its absolute value is above, ``0 < threshold < 1``.
        every_n_validations: Validations between two measurements, ``>= 1``.
        num_sequences: Sequences that are looked at, ``>= 1``.
        optional: Whether a network without it is trained all the same, and not refused.

    Raises:
        UsageError: A value outside its bounds, or a layer without bounds.
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
        """Whenever it is measured: a histogram is no more than a scalar."""
        return validations % self.every_n_validations == 0

    def refuse(self, model: Any, probe: Batch) -> None:
        """Refuse a layer whose states can grow for ever."""
        if not has_bounds(model.core):
            raise UsageError(
                f"SaturationMonitor needs states that cannot leave -1..1; those of this {layer_name(model.core)} can"
            )

    def measure(self, model: Any, probe: Batch, step: int) -> dict[str, Tensor]:
        """The share of the whole layer; those of the units are kept for the histogram."""
        self.shares = saturation(hidden_states(model, probe), self.threshold)
        return {"saturation/share": self.shares.mean()}

    def show(self, board: SummaryWriter, step: int) -> None:
        """Add the histogram."""
        if self.shares is not None:
            board.add_histogram("saturation/units", self.shares.cpu(), step)
