"""Spectral norm, spectral radius and orthogonality error of the recurrent matrices during training."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.callbacks._hooks import AfterEachStep, recurrent_weights, warn_skipped
from rnn_tasks.cores.linalg import with_cpu_fallback
from rnn_tasks.errors import require
from rnn_tasks.models.step_log import log_step, logged_steps


@torch.no_grad()
def spectrum(weight: Tensor, radius: bool = True) -> dict[str, Tensor]:
    """Return spectral norm, spectral radius and orthogonality error of a square matrix, in single precision.

    - ``spectral_norm``: largest singular value, the largest factor by which one step can stretch a state.
    - ``spectral_radius``: largest absolute eigenvalue, the growth rate per step over many steps.
    - ``orthogonality_error``: largest absolute entry of ``W'W - I``.

    Args:
        weight: ``(n, n)``.
        radius: Whether to compute the spectral radius, which takes several times as long as the other two.

    Example:
        >>> {name: value.item() for name, value in spectrum(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).items()}
        {'spectral_norm': 2.0, 'orthogonality_error': 3.0, 'spectral_radius': 0.0}
    """
    weight = weight.detach().float()
    product = weight.T @ weight
    if not product.isfinite().all():  # the network has diverged
        names = ("spectral_norm", "orthogonality_error", *(("spectral_radius",) if radius else ()))
        return dict.fromkeys(names, torch.tensor(torch.nan))
    squares = with_cpu_fallback(torch.linalg.eigvalsh, product)  # of the singular values; faster than svdvals
    values = {
        "spectral_norm": squares[-1].clamp(min=0).sqrt(),
        "orthogonality_error": (product - torch.eye(len(weight), device=weight.device)).abs().max(),
    }
    if radius:
        values["spectral_radius"] = with_cpu_fallback(torch.linalg.eigvals, weight).abs().max()
    return values


class SpectralNormMonitor(Callback):
    """Logs spectral norm and orthogonality error of each recurrent matrix, and less often its spectral radius.

    Logs ``spectral_norm/<weight>``, ``spectral_radius/<weight>`` and ``orthogonality_error/<weight>``. If a callback
    changes the weights after the optimizer step, ``spectral_norm_before_projection/<weight>`` and
    ``orthogonality_error_before_projection/<weight>`` are the values before this change.

    Args:
        every_n_logs: Logged steps per measurement, ``>= 1``; the first logged step is measured.
        radius_every: Measurements per spectral radius, the slowest quantity, ``>= 1``; the first one includes it.

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
        self.optimizer_weights: dict[str, Tensor] = {}
        self.with_radius = True
        self.after_each_step = AfterEachStep(self.copy_weights)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.module, self.trainer, self.optimizer_weights = pl_module, trainer, {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.after_each_step.attach(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.after_each_step.detach()
        self.module = self.trainer = None

    def copy_weights(self) -> None:
        """Copy the weights right after the optimizer step, if this step is to be measured."""
        if self.module is None or self.trainer is None:
            return
        logs = logged_steps(self.trainer, self.trainer.global_step + 1)
        if logs is None:
            return
        measurement, remainder = divmod(logs - 1, self.every_n_logs)
        if remainder == 0:
            weights = recurrent_weights(self.module)
            self.optimizer_weights = {name: weight.detach().clone() for name, weight in weights.items()}
            self.with_radius = measurement % self.radius_every == 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if not self.optimizer_weights:
            return
        try:
            values = self._measure(recurrent_weights(pl_module))
        except NotImplementedError as error:
            warn_skipped(self, error)
            self.after_each_step.detach()
            values = {}
        self.optimizer_weights = {}
        log_step(pl_module, values, trainer.global_step - 1)

    def _measure(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        for name, weight in weights.items():
            values |= {f"{quantity}/{name}": value for quantity, value in spectrum(weight, self.with_radius).items()}
            before = self.optimizer_weights[name]
            if not torch.equal(before, weight.detach()):
                values |= {
                    f"{key}_before_projection/{name}": value for key, value in spectrum(before, radius=False).items()
                }
        return values
