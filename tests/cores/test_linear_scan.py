"""Tests of the elementwise linear recurrence, compared with a loop over the steps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import differentiable_twice
from rnn_tasks.cores.linear_scan import complex_from_pairs, linear_scan, pairs_from_complex, run_in_chunks
from rnn_tasks.errors import UsageError

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])


def loop(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Compute the states step by step, with autograd's graph of each step."""
    states = [h0]
    factors = a.unbind(0) if a.ndim == b.ndim else [a] * len(b)
    for factor, term in zip(factors, b.unbind(0), strict=True):
        states.append(factor * states[-1] + term)
    return torch.stack(states[1:])


def random(*shape: int, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return (scale * torch.randn(shape, dtype=dtype, generator=generator)).requires_grad_()


def states_and_gradients(scan: Callable[..., Tensor], leaves: tuple[Tensor, ...]) -> list[Tensor]:
    states = scan(*leaves)
    weights = random(*states.shape, dtype=states.dtype).detach()
    loss = (states * weights).sum().abs() + states[-1].abs().square().sum()
    return [states, *torch.autograd.grad(loss, leaves)]


def check_against_loop(*leaves: Tensor) -> None:
    ours, expected = states_and_gradients(linear_scan, leaves), states_and_gradients(loop, leaves)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@DTYPES
@pytest.mark.parametrize("time", [1, 2, 63, 64, 71, 300])
@pytest.mark.parametrize("batch", [2, 700])
def test_linear_scan_equals_a_loop(dtype: torch.dtype, time: int, batch: int) -> None:
    b, h0 = random(time, batch, 3, dtype=dtype), random(batch, 3, dtype=dtype)
    check_against_loop(random(time, batch, 3, dtype=dtype, scale=0.5), b, h0)
    check_against_loop(random(3, dtype=dtype, scale=0.5), b, h0)


@pytest.mark.parametrize("shape", [(70, 1, 4), (70, 5, 1), (5, 4), (5, 1), ()])
def test_linear_scan_broadcasts_its_factors(shape: tuple[int, ...]) -> None:
    check_against_loop(random(*shape, scale=0.5), random(70, 5, 4), random(5, 4))


def test_linear_scan_equals_numpy() -> None:
    rng = np.random.default_rng(0)
    a, b, state = rng.uniform(-1, 1, (80, 3)), rng.normal(size=(80, 3)), rng.normal(size=3)
    states = linear_scan(*map(torch.from_numpy, (a, b, state)))
    for time in range(80):
        state = a[time] * state + b[time]
        np.testing.assert_allclose(states[time], state, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("last_first", [False, True])
@pytest.mark.parametrize("length", [2, 7, 8, 29, 50])
def test_chunks_of_any_length_equal_a_loop(length: int, last_first: bool) -> None:
    a, b, h0 = (values.detach() for values in (random(50, 2, scale=0.5), random(50, 2), random(2)))
    states = torch.empty_like(b)
    run_in_chunks(states, a, b, h0, last_first, length)
    expected = loop(a.flip(0), b.flip(0), h0).flip(0) if last_first else loop(a, b, h0)
    torch.testing.assert_close(states, expected, rtol=1e-12, atol=1e-12)


@DTYPES
def test_linear_scan_accepts_gradients_and_terms_of_any_layout(dtype: torch.dtype) -> None:
    a, b = random(2, 70, 8, dtype=dtype, scale=0.5), random(2, 70, 8, dtype=dtype)

    def transposed(scan: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda a, b, h0: scan(a.chunk(2, -1)[0].transpose(0, 1), b.chunk(2, -1)[1].transpose(0, 1), h0).mT

    leaves = (a, b, random(2, 4, dtype=dtype))
    ours = states_and_gradients(transposed(linear_scan), leaves)
    torch.testing.assert_close(ours, states_and_gradients(transposed(loop), leaves), rtol=1e-10, atol=1e-10)


@DTYPES
@pytest.mark.parametrize("time", [3, 66])
def test_gradients_equal_numerical_gradients(dtype: torch.dtype, time: int) -> None:
    b, h0 = random(time, 2, dtype=dtype), random(2, dtype=dtype)
    assert torch.autograd.gradcheck(linear_scan, (random(time, 2, dtype=dtype, scale=0.5), b, h0), fast_mode=True)
    assert torch.autograd.gradcheck(linear_scan, (random(2, dtype=dtype, scale=0.5), b, h0), fast_mode=True)


def test_factors_of_1_sum_and_factors_of_0_forget() -> None:
    b = random(200, 3)
    torch.testing.assert_close(linear_scan(torch.ones(3).double(), b), b.cumsum(0), rtol=1e-12, atol=1e-12)
    assert torch.equal(linear_scan(torch.zeros(200, 3).double(), b, random(3)), b)


def test_states_of_a_long_sequence_are_finite_and_exact() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.5, 1, (10_000, 2)), rng.normal(size=(10_000, 2))
    states = linear_scan(torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))
    expected = linear_scan(torch.tensor(a), torch.tensor(b))
    torch.testing.assert_close(states.double(), expected, rtol=1e-4, atol=1e-4)


def test_real_terms_work_with_complex_factors() -> None:
    a, b = random(4, dtype=torch.complex128, scale=0.5), random(70, 2, 4)
    expected = linear_scan(a, b.to(torch.complex128))
    torch.testing.assert_close(linear_scan(a, b), expected)


def test_half_precision_is_computed_in_single_precision() -> None:
    a, b = (values.detach().bfloat16() for values in (random(70, 4, scale=0.5), random(70, 4)))
    states = linear_scan(a, b)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, linear_scan(a.float(), b.float()), rtol=0, atol=0)


def test_second_derivatives_need_differentiable_twice() -> None:
    leaves = (random(3, scale=0.5), random(5, 2, 3), random(2, 3))
    with pytest.raises(UsageError, match="differentiable_twice"):
        torch.autograd.grad(linear_scan(*leaves).sum(), leaves, create_graph=True)
    with differentiable_twice():
        assert torch.autograd.gradgradcheck(linear_scan, leaves, fast_mode=True)


def test_linear_scan_works_with_transforms_of_torch_func() -> None:
    a, b, h0 = (values.detach() for values in (random(70, 3, scale=0.5), random(70, 3), random(3)))
    jacobian = torch.func.jacrev(lambda factors: linear_scan(factors, b, h0)[-1])(a)
    expected = torch.autograd.functional.jacobian(lambda factors: linear_scan(factors, b, h0)[-1], a)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(jacobian, expected)


def test_pairs_are_real_and_imaginary_parts_in_turns() -> None:
    values = random(5, 3, dtype=torch.complex128).detach()
    pairs = pairs_from_complex(values)
    assert torch.equal(pairs[:, 0::2], values.real)
    assert torch.equal(pairs[:, 1::2], values.imag)
    assert torch.equal(complex_from_pairs(pairs), values)
