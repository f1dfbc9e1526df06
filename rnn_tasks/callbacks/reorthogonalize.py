"""Keep the recurrent matrices orthogonal by QR decomposition after optimizer steps."""

from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from torch import Tensor
from torch.nn.utils import parametrize

from rnn_tasks.callbacks._hooks import AfterEachStep, callbacks_of, network_of, recurrent_weights
from rnn_tasks.cores.linalg import with_cpu_fallback
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import layer_name

MAX_CHOLESKY_DISTANCE = 0.75
"""Largest Frobenius norm of W'W - I at which Cholesky QR is used; the condition number of W is below 2.7 then."""


def orthogonal_factor(weight: Tensor) -> Tensor:
    """Return Q of the QR decomposition with a positive diagonal of R. An orthogonal matrix stays unchanged.

    After one optimizer step an orthogonal weight W is still nearly orthogonal. Then R is the Cholesky factor of W'W,
    and Q = W R^-1 is as accurate as Householder QR in half of the time. Other matrices use Householder QR.

    Args:
        weight: ``(n, n)``, of any floating-point type; half-precision matrices are decomposed in float32.

    Example:
        >>> orthogonal_factor(torch.diag(torch.tensor([2.0, -3.0])))
        tensor([[ 1., -0.],
                [-0., -1.]])

    References:
        Y. Yamamoto, Y. Nakatsukasa, Y. Yanagisawa and T. Fukaya, "Roundoff error analysis of the CholeskyQR2 algorithm"
        (2015).
    """
    precise = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
    product = precise.T @ precise
    distance = torch.dist(product, torch.eye(len(product), dtype=product.dtype, device=product.device))
    projected: Tensor
    if distance < MAX_CHOLESKY_DISTANCE:
        upper = with_cpu_fallback(partial(torch.linalg.cholesky, upper=True), product)
        projected = with_cpu_fallback(partial(torch.linalg.solve_triangular, upper=True, left=False), upper, precise)
    else:
        q, r = with_cpu_fallback(torch.linalg.qr, precise)
        # sign() would turn the column of a zero on the diagonal into zeros.
        projected = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
    return projected.to(weight.dtype)


class Reorthogonalize(Callback):
    """Replaces each recurrent matrix by its orthogonal factor, at the start and after every n optimizer steps.

    In a gated layer, each square block is projected separately. The state of the optimizer, such as Adam's moments, is
    not changed.

    Args:
        every_n_steps: Optimizer steps between projections, ``>= 1``.

    Raises:
        UsageError: A value outside its bounds, a model without recurrent matrices, a layer with a parametrization, or a
            callback that averages weights, since an average of orthogonal matrices is not orthogonal.

    References:
        Retraction by QR: P.-A. Absil, R. Mahony and R. Sepulchre, "Optimization Algorithms on Matrix Manifolds" (2008).
    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise UsageError(f"every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self.steps = 0
        self.weights: dict[str, Tensor] = {}
        self.after_each_step = AfterEachStep(self.count)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.after_each_step.detach()
        require_no_averaging(trainer)
        self.weights = recurrent_weights(pl_module)
        if not self.weights:
            network = network_of(pl_module)
            name = type(pl_module).__name__ if network is None else layer_name(network.core)
            raise UsageError(
                f"Reorthogonalize found no recurrent weight in {name}: remove the callback, or use --constraint null"
            )
        if any(parametrize.is_parametrized(module) for module in pl_module.modules()):
            raise UsageError(
                "Reorthogonalize cannot change a weight with a parametrization: remove the callback or orthogonal_map"
            )
        # The weights of a checkpoint are projected already; another projection would change their last bits.
        if not trainer.ckpt_path:
            self.project()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        # Monitors attach earlier, in on_train_start, so that they see the weights before the projection.
        if not self.after_each_step.handles:
            self.after_each_step.attach(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.after_each_step.detach()
        self.weights = {}

    def count(self) -> None:
        """Count an optimizer step, and project after every n steps."""
        self.steps += 1
        if self.steps % self.every_n_steps == 0:
            self.project()

    @torch.no_grad()
    def project(self) -> None:
        """Write the orthogonal factors into the weights, in place."""
        for weight in self.weights.values():
            weight.copy_(orthogonal_factor(weight))

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]


def require_no_averaging(trainer: Trainer) -> None:
    """Fail if a callback averages the weights, since an average of orthogonal matrices is not orthogonal.

    Args:
        trainer: A trainer with a :class:`Reorthogonalize`.

    Raises:
        UsageError: There is such a callback.
    """
    averaging = [*callbacks_of(trainer, StochasticWeightAveraging), *callbacks_of(trainer, WeightAveraging)]
    if averaging:
        raise UsageError(
            f"{type(averaging[0]).__name__} cannot be used with Reorthogonalize, since an average of orthogonal "
            "matrices is not orthogonal: remove one of them, or use --constraint null with "
            "--model.core.orthogonal_map matrix_exp"
        )
