"""Where the eigenvalues of the recurrent matrices go, as the network learns."""

from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import eigenvalues
from rnn_tasks.callbacks._monitor import Monitor, add_picture, layer_name
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.plots.matrices import Spectrum, draw_eigenvalues
from rnn_tasks.plots.style import WIDE
from rnn_tasks.spec import Batch


class EigenvalueMonitor(Monitor):
    """Draws the eigenvalues of every recurrent matrix into TensorBoard, and behind them those that it started with.

    Within the unit circle a linear network would forget, outside it would explode. The spectral radius as a curve is
    :class:`~rnn_tasks.callbacks.SpectralNormMonitor`'s.

    Args:
        first_picture_after: Validations before the first picture, ``>= 1``; the next ones come after twice, four times,
            ... as many, and one when training ends.
        optional: Whether a network without it is trained all the same, and not refused.

    Raises:
        UsageError: A value outside its bounds, or a layer that names no recurrent matrix.
    """

    def __init__(self, first_picture_after: int = 5, optional: bool = False) -> None:
        super().__init__(first_picture_after, first_picture_after, optional=optional)
        self.first: dict[str, Tensor] = {}
        self.first_step = 0
        self.now: dict[str, Tensor] = {}

    def check_supported(self, network: Network, probe: Batch) -> None:
        """Refuse a layer without recurrent matrices."""
        if not network.core.recurrent_weights():
            raise UsageError(f"EigenvalueMonitor found no recurrent matrix in {layer_name(network.core)}")

    def measure(self, network: Network, probe: Batch, step: int) -> dict[str, Tensor]:
        """Nothing is logged; the first eigenvalues and the present ones are kept."""
        self.now = eigenvalues(network)
        if step <= self.first_step or self.first.keys() != self.now.keys():
            self.first, self.first_step = self.now, step
        return {}

    def show(self, board: SummaryWriter, step: int) -> None:
        """Draw the present ones."""
        if self.now:
            spectra = [
                (name, Spectrum(name, self.first[name].cpu().numpy(), values.cpu().numpy()))
                for name, values in self.now.items()
            ]
            moments = (f"step {self.first_step:,}", f"step {step:,}")
            add_picture(board, "eigenvalues", draw_eigenvalues(spectra, moments, WIDE), step)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "first_step": self.first_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.first, self.first_step = state_dict["first"], state_dict["first_step"]
