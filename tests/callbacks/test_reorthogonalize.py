from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging, WeightAveraging
from torch import Tensor, nn

from rnn_tasks.callbacks import Reorthogonalize
from rnn_tasks.callbacks.reorthogonalize import MAX_CHOLESKY_DISTANCE, orthogonal_factor
from rnn_tasks.cores import Elman, Foreign
from rnn_tasks.errors import UsageError


def orthogonality_error(weight: Tensor) -> float:
    weight = weight.detach().double()
    return float((weight.T @ weight - torch.eye(len(weight))).abs().max())


class ErrorRecorder(Callback):
    """Keeps the largest orthogonality error after each batch."""

    def __init__(self) -> None:
        self.errors: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        weights = pl_module.network.core.recurrent_weights()  # type: ignore[union-attr,operator]
        self.errors.append(max(orthogonality_error(weight) for weight in weights.values()))


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_orthogonal_factor_is_the_q_of_a_qr_decomposition(size: int) -> None:
    weight = torch.randn(size, size, dtype=torch.float64)
    factor = orthogonal_factor(weight)
    upper = factor.T @ weight
    assert orthogonality_error(factor) < 1e-12
    assert upper.tril(-1).abs().max() < 1e-12 * size
    assert (upper.diagonal() > 0).all()


@pytest.mark.parametrize("size", [1, 2, 7, 64, 190])
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.5, 0.99, 1.01, 3.0])
def test_orthogonal_factor_equals_householder_qr(size: int, share: float) -> None:
    start = nn.init.orthogonal_(torch.empty(size, size, dtype=torch.float64))
    direction = torch.randn(size, size, dtype=torch.float64)

    def distance(factor: float) -> float:
        weight = start + factor * direction
        return float((weight.T @ weight - torch.eye(size)).norm())

    low, high = 0.0, 4.0  # bisection for the factor at which the distance is this share of the limit
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if distance(middle) < share * MAX_CHOLESKY_DISTANCE else (low, middle)
    weight = start + low * direction
    q, r = torch.linalg.qr(weight)
    expected = q * r.diagonal().sign()
    assert torch.allclose(orthogonal_factor(weight), expected, atol=1e-12)
    assert orthogonality_error(orthogonal_factor(weight)) < 1e-12
    assert orthogonality_error(orthogonal_factor(weight.float())) < 3e-6


def test_an_orthogonal_matrix_stays_unchanged() -> None:
    weight = nn.init.orthogonal_(torch.empty(32, 32, dtype=torch.float64))
    assert torch.allclose(orthogonal_factor(weight), weight, atol=1e-13)


def test_a_column_of_zeros_becomes_a_unit_column() -> None:
    weight = torch.eye(3)
    weight[:, 1] = 0
    assert orthogonality_error(orthogonal_factor(weight)) < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_matrices_become_orthogonal(dtype: torch.dtype) -> None:
    factor = orthogonal_factor(torch.randn(8, 8).to(dtype))
    assert factor.dtype == dtype
    assert orthogonality_error(factor) < 0.02


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate_grad_batches": 3, "max_steps": 2, "val_check_interval": 100},
        {"gradient_clip_val": 0.1},
        {"precision": "bf16-mixed"},
    ],
)
def test_weights_are_orthogonal_after_every_batch(fit: Any, options: dict[str, Any]) -> None:
    recorder = ErrorRecorder()
    trainer, _ = fit(Reorthogonalize(), recorder, **options)
    assert max(recorder.errors) < 1e-5
    assert len(recorder.errors) == trainer.global_step * options.get("accumulate_grad_batches", 1)


def test_recurrent_weights_still_learn_when_projected(fit: Any) -> None:
    initial = {}

    class CopyWeight(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            initial["weight"] = pl_module.network.core.weight_hh_l0.detach().clone()  # type: ignore[union-attr,operator]

    _, model = fit(Reorthogonalize(), CopyWeight())
    assert (model.network.core.weight_hh_l0 - initial["weight"]).abs().max() > 0.01


def test_each_gate_is_projected_in_place(fit: Any, gru: Callable[[int], Any]) -> None:
    _, model = fit(Reorthogonalize(), core=gru)
    blocks = model.network.core.recurrent_weights()
    assert len(blocks) == 3
    assert all(orthogonality_error(block) < 1e-5 for block in blocks.values())
    assert model.network.core._flat_weights[1] is model.network.core.weight_hh_l0


def test_every_n_steps_counts_optimizer_steps(fit: Any) -> None:
    recorder = ErrorRecorder()
    fit(Reorthogonalize(every_n_steps=3), recorder, accumulate_grad_batches=2, max_steps=6, val_check_interval=100)
    projected = [value < 1e-5 for value in recorder.errors[1::2]]
    assert projected == [False, False, True, False, False, True]


def test_reorthogonalize_raises_without_recurrent_weights(fit: Any) -> None:
    class Memoryless(nn.Module):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__()
            self.linear = nn.Linear(input_size, hidden_size)

        def forward(self, inputs: Tensor, state: None = None) -> tuple[Tensor, None]:
            return self.linear(inputs), None

    with pytest.raises(UsageError, match="found no recurrent weight in Memoryless: remove"):
        fit(Reorthogonalize(), core=partial(Foreign, hidden_size=4, layer=Memoryless))


def test_reorthogonalize_raises_for_a_parametrized_weight(fit: Any) -> None:
    with pytest.raises(UsageError, match="parametrization"):
        fit(Reorthogonalize(), core=partial(Elman, hidden_size=4, orthogonal_map="cayley"))


@pytest.mark.parametrize("averaging", [WeightAveraging(), EMAWeightAveraging(), StochasticWeightAveraging(0.1)])
def test_reorthogonalize_raises_when_weights_are_averaged(fit: Any, averaging: Callback) -> None:
    with pytest.raises(UsageError, match="an average of orthogonal matrices is not orthogonal"):
        fit(Reorthogonalize(), averaging)


@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
def test_average_of_weights_with_an_orthogonal_map_is_orthogonal(fit: Any, name: Any) -> None:
    core = partial(Elman, hidden_size=8, orthogonal_map=name)
    _, last = fit(core=core)
    _, average = fit(EMAWeightAveraging(decay=0.5), core=core)
    weight, averaged = (model.network.core.weight_hh_l0 for model in (last, average))
    assert orthogonality_error(averaged) < 1e-5
    assert (averaged - weight).abs().max() > 1e-3


def test_second_fit_projects_after_an_interrupted_fit(fit: Any) -> None:
    class Interrupt(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 3:
                raise RuntimeError

    callback, recorder = Reorthogonalize(), ErrorRecorder()
    with pytest.raises(RuntimeError):
        fit(callback, Interrupt())
    assert callback.steps == 3
    fit(callback, recorder)
    assert callback.steps == 3 + 6
    assert max(recorder.errors) < 1e-5


def test_reorthogonalize_raises_for_an_interval_below_1() -> None:
    with pytest.raises(UsageError, match="got 0"):
        Reorthogonalize(every_n_steps=0)


def test_the_hook_is_removed_after_the_fit(fit: Any) -> None:
    callback = Reorthogonalize()
    trainer, _ = fit(callback)
    steps = callback.steps
    trainer.optimizers[0].step()
    assert callback.steps == steps
