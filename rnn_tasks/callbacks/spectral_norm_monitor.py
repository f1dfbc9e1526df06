"""How long the recurrent matrices make a vector."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.callbacks._hooks import AfterEachStep, recurrent_weights
from rnn_tasks.errors import require
from rnn_tasks.models.step_log import log_step, logged_steps


@torch.no_grad()
def spectrum(weight: Tensor, radius: bool = True) -> dict[str, Tensor]:
    """Three numbers about a square matrix, in single precision.

    - ``spectral_norm``: largest singular value; how much longer one step can make a state.
    - ``spectral_radius``: largest absolute eigenvalue; the rate at which many steps do.
    - ``orthogonality_error``: largest absolute entry of ``W'W - I``.

    Args:
        weight: ``(n, n)``.
        radius: Whether to have the spectral radius too, which takes several times as long as the two others.

    Example:
        >>> {name: value.item() for name, value in spectrum(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).items()}
        {'spectral_norm': 2.0, 'orthogonality_error': 3.0, 'spectral_radius': 0.0}
    """
    weight = weight.detach().float()
    product = weight.T @ weight
    if not product.isfinite().all():  # the run is about to be stopped
        names = ("spectral_norm", "orthogonality_error", *(("spectral_radius",) if radius else ()))
        return dict.fromkeys(names, torch.tensor(torch.nan))
    values = {
        "spectral_norm": torch.linalg.eigvalsh(product)[-1].clamp(min=0).sqrt(),  # sooner there than by svdvals
        "orthogonality_error": (product - torch.eye(len(weight), device=weight.device)).abs().max(),
    }
    if radius:
        values["spectral_radius"] = torch.linalg.eigvals(weight).abs().max()
    return values


class SpectralNormMonitor(Callback):
    """Logs spectral norm and orthogonality error of each recurrent matrix, and less often its spectral radius.

    Logged as ``spectral_norm/<weight>``, ``spectral_radius/<weight>`` and ``orthogonality_error/<weight>``. Where a
    callback changes the weights after the optimizer has, ``spectral_norm_before_projection/<weight>`` and the like of
    the error show them as the optimizer left them.

    Args:
        every_n_logs: Steps that the loggers write from one measurement to the next, ``>= 1``; the first one has one.
        radius_every: Measurements from one with the spectral radius, which takes longest, to the next, ``>= 1``.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(self, every_n_logs: int = 6, radius_every: int = 8) -> None:
        require(every_n_logs >= 1, f"every_n_logs must be at least 1, got {every_n_logs}")
        require(radius_every >= 1, f"radius_every must be at least 1, got {radius_every}")
        self.every_n_logs = every_n_logs
        self.radius_every = radius_every
        self.module: LightningModule | None = None
        self.trainer: Trainer | None = None
        self.stepped: dict[str, Tensor] = {}
        self.with_radius = True
        self.after_each_step = AfterEachStep(self.remember)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.module, self.trainer = pl_module, trainer
        self.after_each_step.attach(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.after_each_step.detach()
        self.module = self.trainer = None

    def remember(self) -> None:
        """Keep the weights as the optimizer left them, if this step is measured."""
        if self.module is None or self.trainer is None:
            return
        logs = logged_steps(self.trainer, self.trainer.global_step + 1)
        if logs is None:
            return
        measurement, rest = divmod(logs - 1, self.every_n_logs)
        if rest == 0:
            self.stepped = {name: weight.detach().clone() for name, weight in recurrent_weights(self.module).items()}
            self.with_radius = measurement % self.radius_every == 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if not self.stepped:
            return
        values: dict[str, Tensor] = {}
        for name, weight in recurrent_weights(pl_module).items():
            values |= {f"{quantity}/{name}": value for quantity, value in spectrum(weight, self.with_radius).items()}
            stepped = self.stepped[name]
            if not torch.equal(stepped, weight.detach()):
                values |= {
                    f"{key}_before_projection/{name}": value for key, value in spectrum(stepped, radius=False).items()
                }
        self.stepped = {}
        log_step(pl_module, values, trainer.global_step - 1)
