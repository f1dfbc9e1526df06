"""How long the recurrent matrices make a vector."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.callbacks._hooks import AfterEachStep, recurrent_weights
from rnn_tasks.runs.trainer_facts import is_logged


@torch.no_grad()
def spectrum(weight: Tensor) -> dict[str, Tensor]:
    """Three numbers about a square matrix.

    - ``spectral_norm``: largest singular value; how much longer one step can make a state.
    - ``spectral_radius``: largest absolute eigenvalue; the rate at which many steps do.
    - ``orthogonality_error``: largest absolute entry of ``W'W - I``.

    Args:
        weight: ``(n, n)``.

    Example:
        >>> {name: value.item() for name, value in spectrum(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).items()}
        {'spectral_norm': 2.0, 'spectral_radius': 0.0, 'orthogonality_error': 3.0}
    """
    weight = weight.detach().float()
    error = weight.T @ weight - torch.eye(len(weight), device=weight.device)
    return {
        "spectral_norm": torch.linalg.matrix_norm(weight, 2),
        "spectral_radius": torch.linalg.eigvals(weight).abs().max(),
        "orthogonality_error": error.abs().max(),
    }


class SpectralNormMonitor(Callback):
    """Logs spectral norm, spectral radius and orthogonality error of each recurrent matrix at every logged step.

    Logged as ``spectral_norm/<weight>``, ``spectral_radius/<weight>`` and ``orthogonality_error/<weight>``. Where a
    callback changes the weights after the optimizer has, ``spectral_norm_before_projection/<weight>`` and its like show
    them as the optimizer left them.
    """

    def __init__(self) -> None:
        self.module: LightningModule | None = None
        self.trainer: Trainer | None = None
        self.stepped: dict[str, Tensor] = {}
        self.after_each_step = AfterEachStep(self.remember)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.module, self.trainer = pl_module, trainer
        self.after_each_step.attach(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.after_each_step.detach()
        self.module = self.trainer = None

    def remember(self) -> None:
        """Keep the weights as the optimizer left them, if this step is logged."""
        if self.module is not None and self.trainer is not None and is_logged(self.trainer):
            self.stepped = {name: weight.detach().clone() for name, weight in recurrent_weights(self.module).items()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if not self.stepped:
            return
        values: dict[str, Tensor] = {}
        for name, weight in recurrent_weights(pl_module).items():
            values |= {f"{quantity}/{name}": value for quantity, value in spectrum(weight).items()}
            stepped = self.stepped[name]
            if not torch.equal(stepped, weight.detach()):
                values |= {f"{key}_before_projection/{name}": value for key, value in spectrum(stepped).items()}
        self.stepped = {}
        pl_module.log_dict(values, batch_size=1)
