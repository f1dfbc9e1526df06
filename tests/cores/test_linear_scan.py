"""Tests of the elementwise linear recurrence, compared with a loop over the steps."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import differentiable_twice, linear_scan
from rnn_tasks.cores import linear_scan as linear_scan_function
from rnn_tasks.cores.linear_scan import complex_from_pairs, pairs_from_complex
from rnn_tasks.errors import UsageError

DTYPES = [torch.float64, torch.complex128]


def loop(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Compute the states step by step and keep autograd's graph of each step."""
    state, states = h0, []
    for time, term in enumerate(b.unbind(0)):
        state = (a[time] if a.ndim == b.ndim else a) * state + term
        states.append(state)
    return torch.stack(states)


def random(*shape: int, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    values = torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))
    return (scale * values).requires_grad_()


def scan_and_gradients(function: object, a: Tensor, b: Tensor, h0: Tensor) -> list[Tensor]:
    states = function(a, b, h0)  # type: ignore[operator]
    weights = random(*states.shape, dtype=states.dtype).detach()
    loss = (states * weights).sum().abs() + states[-1].abs().square().sum()
    return [states, *torch.autograd.grad(loss, (a, b, h0))]


def check(a: Tensor, b: Tensor, h0: Tensor) -> None:
    torch.testing.assert_close(
        scan_and_gradients(linear_scan, a, b, h0), scan_and_gradients(loop, a, b, h0), rtol=1e-10, atol=1e-10
    )
