"""The eigenvalues of a layer during training."""

from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import eigenvalues
from rnn_tasks.callbacks._monitor import Monitor, add_picture
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network, layer_name
from rnn_tasks.plots.matrices import Spectrum, draw_eigenvalues
from rnn_tasks.plots.style import WIDE
from rnn_tasks.spec import Batch


class EigenvalueMonitor(Monitor):
    """Draws the current and the initial eigenvalues of the layer in TensorBoard.

    They are the eigenvalues of each recurrent matrix, of the diagonal by which the layer multiplies its state, or of
    its transitions along the first validation sequence: see :func:`rnn_tasks.analysis.eigenvalues`. If all eigenvalues
    lie inside the unit circle, a linear network forgets; if one lies outside, its states explode.
    :class:`~rnn_tasks.callbacks.SpectralNormMonitor` logs the spectral radius as a curve.

    Args:
        first_picture_after: Validations before the first picture, ``>= 1``. Later pictures follow after 2, 4, 8, ...
            times as many validations; the last is drawn when training ends.
        optional: Whether to print one line and skip the monitor, instead of raising, if it does not support the layer.

    Raises:
        UsageError: A value outside its bounds, or a layer without eigenvalues.
    """

    def __init__(self, first_picture_after: int = 5, optional: bool = False) -> None:
        super().__init__(first_picture_after, first_picture_after, optional=optional)
        self.first: dict[str, Tensor] = {}
        self.first_step = 0
        self.now: dict[str, Tensor] = {}

    def check_supported(self, network: Network, sequences: Batch) -> None:
        """Raise if the layer has no eigenvalues."""
        try:
            found = bool(eigenvalues(network, sequences))
        except NotImplementedError:  # torch cannot compute them here: the first measurement says so
            return
        if not found:
            name = layer_name(network.core)
            raise UsageError(f"EigenvalueMonitor found neither recurrent matrices nor other eigenvalues in {name}")

    def measure(self, network: Network, sequences: Batch, step: int) -> dict[str, Tensor]:
        """Keep the initial and the current eigenvalues; log nothing."""
        self.now = eigenvalues(network, sequences)
        if step <= self.first_step or self.first.keys() != self.now.keys():
            self.first, self.first_step = self.now, step
        return {}

    def show(self, writer: SummaryWriter, step: int) -> None:
        """Draw the initial and the current eigenvalues."""
        if self.now:
            spectra = [
                (name, Spectrum(name, self.first[name].cpu().numpy(), values.cpu().numpy()))
                for name, values in self.now.items()
            ]
            labels = (f"step {self.first_step:,}", f"step {step:,}")
            add_picture(writer, "eigenvalues", draw_eigenvalues(spectra, labels, WIDE), step)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "first": self.first, "first_step": self.first_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.first, self.first_step = state_dict["first"], state_dict["first_step"]
