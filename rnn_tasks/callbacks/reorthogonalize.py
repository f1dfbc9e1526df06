"""Keep the recurrent matrices orthogonal by a QR decomposition after optimizer steps."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import parametrize

from rnn_tasks.callbacks._hooks import AfterEachStep, recurrent_weights
from rnn_tasks.errors import UsageError

NEAR = 0.75
"""So far W'W may be from I, by Frobenius' norm, to be factored by Cholesky: W's condition is below 2.7 then."""


def orthogonal_factor(weight: Tensor) -> Tensor:
    """Q of the QR decomposition with a positive diagonal of R, which leaves an orthogonal matrix unchanged.

    A weight that an optimizer has moved by a step is nearly orthogonal: then R is the Cholesky factor of W'W, and
    Q = W R^-1 is as orthogonal as Householder's, for half of the time. Any other is decomposed by reflections.

    Args:
        weight: ``(n, n)``, of any floating-point type; half precisions are decomposed in float32.

    Example:
        >>> orthogonal_factor(torch.diag(torch.tensor([2.0, -3.0])))
        tensor([[ 1., -0.],
                [-0., -1.]])

    References:
        Cholesky QR: Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015.
    """
    precise = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
    product = precise.T @ precise
    distance = torch.dist(product, torch.eye(len(product), dtype=product.dtype, device=product.device))
    projected: Tensor
    if distance < NEAR:
        upper = torch.linalg.cholesky(product, upper=True)
        projected = torch.linalg.solve_triangular(upper, precise, upper=True, left=False)
    else:
        q, r = torch.linalg.qr(precise)
        # Not sign(): a zero on the diagonal would wipe out its column.
        projected = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
    return projected.to(weight.dtype)


class Reorthogonalize(Callback):
    """Replaces each recurrent matrix by its orthogonal factor, at the start and after every n optimizer steps.

    Each square block of a gated layer is projected by itself. The optimizer knows nothing of it: its moments stay as
    they are, which makes this "projected Adam" with Adam. Logs nothing.

    Args:
        every_n_steps: Optimizer steps between projections, ``>= 1``.

    Raises:
        UsageError: The model has no recurrent matrix, or its layer computes it from other parameters.

    References:
        Seed of the idea: a QR-projected RNN on the copy task; retraction by QR: Absil, Mahony and Sepulchre 2008.
    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise UsageError(f"every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self.steps = 0
        self.weights: dict[str, Tensor] = {}
        self.after_each_step = AfterEachStep(self.count)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.weights = recurrent_weights(pl_module)
        if not self.weights:
            raise UsageError(f"Reorthogonalize found no recurrent weight to act on in {type(pl_module).__name__}")
        if any(parametrize.is_parametrized(module) for module in pl_module.modules()):
            raise UsageError("Reorthogonalize cannot act on weights that a parametrization already keeps orthogonal")
        # What a checkpoint holds is projected already, and projecting it again would move its last bits.
        if not trainer.ckpt_path:
            self.project()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Later than on_fit_start, where monitors attach: they see the weights before the projection.
        self.after_each_step.attach(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.after_each_step.detach()
        self.weights = {}

    def count(self) -> None:
        """Count an optimizer step, and project if it is time."""
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
