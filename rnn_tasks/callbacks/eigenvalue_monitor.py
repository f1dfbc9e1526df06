"""Where the eigenvalues of the recurrent matrices go, as the network learns."""

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import eigenvalues
from rnn_tasks.callbacks._monitor import Observer, add_picture, layer_name
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 4
"""Matrices beside one another in a picture."""


def draw_eigenvalues(now: dict[str, Tensor], step: int, first: dict[str, Tensor], first_step: int) -> "Figure":
    """Eigenvalues and the unit circle, a field for each matrix.

    Args:
        now: Complex numbers ``(hidden_size,)`` by the name of the matrix.
        step: When.
        first: Earlier ones of the same matrices, drawn behind them.
        first_step: When.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    across = min(len(now), ACROSS)
    down = -(-len(now) // across)
    wide, high = max(3.3 * across, 4.4), 3.5 * down + 1.1
    figure = Figure(figsize=(wide, high))
    fields = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(0.75 / wide, 1 / high, 1 - 0.15 / wide, 1 - 0.85 / high, 0.25, 0.35)
    far = max(float(values.abs().max()) for values in [*now.values(), *first.values()])
    limit = 1.08 * max(far, 1.0)
    for field in fields.flat[len(now) :]:
        field.set_axis_off()
    for number, (name, values) in enumerate(now.items()):
        field = fields.flat[number]
        field.add_patch(Circle((0, 0), 1, fill=False, linestyle="--", linewidth=1, edgecolor="black"))
        old, new = np.asarray(first[name]), np.asarray(values)
        field.plot(old.real, old.imag, "o", color="0.6", fillstyle="none", markersize=5, label=f"step {first_step:,}")
        field.plot(new.real, new.imag, "o", color="black", markersize=2.5, label=f"step {step:,}")
        field.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=name, xlabel="real part")
        if number % across == 0:
            field.set_ylabel("imaginary part")
    handles, labels = fields.flat[0].get_legend_handles_labels()
    between = " " if across > 1 else "\n"
    figure.suptitle(f"Eigenvalues of the recurrent matrices{between}(dashed: |eigenvalue| = 1)", fontsize=11)
    figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False)
    return figure


class EigenvalueMonitor(Observer):
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

    def refuse(self, model: Any, probe: Batch) -> None:
        """Refuse a layer without recurrent matrices."""
        if not model.core.recurrent_weights():
            raise UsageError(f"EigenvalueMonitor found no recurrent matrix in {layer_name(model.core)}")

    def measure(self, model: Any, probe: Batch, step: int) -> dict[str, Tensor]:
        """Nothing is logged; the first eigenvalues and the present ones are kept."""
        self.now = eigenvalues(model)
        if step <= self.first_step or self.first.keys() != self.now.keys():
            self.first, self.first_step = self.now, step
        return {}

    def show(self, board: SummaryWriter, step: int) -> None:
        """Draw the present ones."""
        if self.now:
            add_picture(board, "eigenvalues", draw_eigenvalues(self.now, step, self.first, self.first_step), step)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "first_step": self.first_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.first, self.first_step = state_dict["first"], state_dict["first_step"]
