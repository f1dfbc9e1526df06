"""The recurrence ``h_t = a_t * h_{t-1} + b_t``, elementwise, over a sequence, with a gradient written by hand.

Autograd would keep several arrays for each step. Here each step is one call of ``torch.addcmul``, and the backward pass
is the same recurrence, last step first: with ``g_t`` the gradient of ``h_t`` from outside,

    l_t = g_t + conj(a_{t+1}) l_{t+1}
    gradients:  b_t: l_t,  a_t: conj(h_{t-1}) l_t,  h_0: conj(a_1) l_1

A step of few numbers costs little more than its call. So short steps, and all steps on a GPU, run in chunks: all chunks
of a sequence at once, in ``O(sqrt(T))`` calls for T steps on a CPU and ``O(log T)`` on a GPU. Nothing is divided and no
logarithm is taken, so factors may be 0 or negative.
"""

import math
from typing import Any

import torch
from torch import Tensor

from rnn_tasks.cores.scan import needs_step_graph, steps
from rnn_tasks.errors import UsageError

SHORT_STEP = 2048
"""On a CPU, steps of at most this many real numbers run in chunks."""

GPU_CHUNK = 8
"""Steps of a chunk on a GPU, where the number of calls decides: about ``2 GPU_CHUNK log(T) / log(GPU_CHUNK)``."""

CACHED = 65_536
"""Numbers of a block of steps that stays in the cache of a CPU."""


def linear_scan(a: Tensor, b: Tensor, h0: Tensor | None = None) -> Tensor:
    """Return the states ``h_t = a_t * h_{t-1} + b_t`` of all steps; ``*`` is elementwise.

    Products of the factors of up to a few hundred steps must be finite, as they are where no factor is above 1 in size.
    Half precision is computed in float32; different types are promoted. Second derivatives exist only within
    :func:`~rnn_tasks.cores.differentiable_twice`.

    Args:
        a: The factors, real or complex: ``(time, ...)`` with as many dimensions as ``b``, or without the dimension of
            time if they are the same at each step. Dimensions after time are broadcast to those of ``b``.
        b: The terms, real or complex, ``(time, ...)`` with at least one step.
        h0: The state before the first step, with the shape of ``b`` without time; None for zeros.

    Returns:
        The states, with the shape of ``b``.

    Example:
        >>> linear_scan(torch.tensor([1.0, 0.5, -1.0]), torch.tensor([1.0, 1.0, 1.0]), torch.tensor(2.0))
        tensor([ 3.0000,  2.5000, -1.5000])
    """
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    start = torch.zeros_like(b[0], dtype=dtype) if h0 is None else h0.to(dtype)
    a, b = a.to(dtype), b.to(dtype)
    if needs_step_graph():
        states = [start]
        for factor, term in zip(over_time(a, b).unbind(0), b.unbind(0), strict=True):
            states.append(factor * states[-1] + term)
        return torch.stack(states[1:])
    scanned: Tensor = LinearScan.apply(a, b, start)  # type: ignore[no-untyped-call]
    return scanned


def at_least_single(values: Tensor) -> Tensor:
    """Return values of half precision in single precision, and other values as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def complex_from_pairs(pairs: Tensor) -> Tensor:
    """Return pairs of real and imaginary parts, ``(..., 2 n)``, as complex numbers, ``(..., n)``.

    The layout is ``re_1, im_1, re_2, im_2, ...``. The result is a view where the pairs are stored like
    that, in single or double precision.

    Example:
        >>> complex_from_pairs(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([1.+2.j, 3.+4.j])
    """
    return torch.view_as_complex(at_least_single(pairs).contiguous().view(*pairs.shape[:-1], pairs.shape[-1] // 2, 2))


def pairs_from_complex(values: Tensor) -> Tensor:
    """Return complex numbers, ``(..., n)``, as pairs, ``(..., 2 n)``: the inverse of :func:`complex_from_pairs`."""
    return torch.view_as_real(values).flatten(-2)


class LinearScan(torch.autograd.Function):
    """``apply(a, b, h_0)`` returns all states; the arguments are those of :func:`linear_scan`, of one type."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, start: Tensor) -> Tensor:
        """Return the states, in the shape of b."""
        states = torch.empty_like(b, memory_format=torch.contiguous_format)
        run(states, over_time(a, b), b, start)
        ctx.save_for_backward(a, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Return the gradients of a, b and h_0."""
        if torch.is_grad_enabled():
            raise UsageError("linear_scan has no second derivative unless it is called in differentiable_twice()")
        (gradient,) = gradients
        a, states, start = ctx.saved_tensors
        factors = over_time(a.conj().resolve_conj(), states)
        b_gradient = torch.empty_like(states)
        b_gradient[-1] = gradient[-1]
        run(b_gradient[:-1], factors[1:], gradient[:-1], gradient[-1], last_first=True)
        a_gradient = gradient_of_factors(a, b_gradient, states, start) if ctx.needs_input_grad[0] else None
        start_gradient = factors[0] * b_gradient[0] if ctx.needs_input_grad[2] else None
        return a_gradient, b_gradient, start_gradient


def over_time(a: Tensor, b: Tensor) -> Tensor:
    """Return a with all dimensions of b: factors that are the same at each step are repeated, without a copy."""
    if a.ndim == b.ndim:
        return a
    return a.reshape((1,) * (b.ndim - a.ndim) + a.shape).expand(len(b), *(-1,) * (b.ndim - 1))


def gradient_of_factors(a: Tensor, b_gradient: Tensor, states: Tensor, start: Tensor) -> Tensor:
    """Return ``conj(h_{t-1}) l_t``, summed over time if a has no dimension of time."""
    first = b_gradient[0] * start.conj()
    if a.ndim == b_gradient.ndim:
        products = torch.empty_like(b_gradient)
        products[0] = first
        torch.mul(b_gradient[1:], states[:-1].conj(), out=products[1:])
        return products.sum_to_size(a.shape)
    block = max(1, CACHED // max(1, start.numel()))
    for now, before in zip(torch.split(b_gradient[1:], block), torch.split(states[:-1], block), strict=True):
        first += (now * before.conj()).sum(0)
    return first.sum_to_size(a.shape)


def run(states: Tensor, factors: Tensor, terms: Tensor, start: Tensor, last_first: bool = False) -> None:
    """Write ``factor * previous state + term`` of each step into ``states``, in chunks where that is faster.

    Args:
        states: Where the states are written, ``(time, ...)``.
        factors: The factors a_t, ``(time, ...)``.
        terms: The terms b_t, ``(time, ...)``.
        start: The state before the first step.
        last_first: Whether the recurrence runs from the last step to the first.
    """
    length = chunk_length(terms)
    if length > 1:
        run_in_chunks(states, factors, terms, start, last_first, length)
        return
    in_order = [steps(sequence, last_first) for sequence in (states, factors, terms)]
    for state, factor, term in zip(*in_order, strict=True):
        torch.addcmul(term, factor, start, out=state)
        start = state


def chunk_length(terms: Tensor) -> int:
    """Return the number of steps of a chunk; 1 for no chunks."""
    time, numbers = len(terms), terms[:1].numel() * (2 if terms.is_complex() else 1)
    if terms.device.type != "cpu":
        return GPU_CHUNK if time >= 2 * GPU_CHUNK else 1
    return round(math.sqrt(time / 2)) if time >= 64 and numbers <= SHORT_STEP else 1


def run_in_chunks(states: Tensor, factors: Tensor, terms: Tensor, start: Tensor, last_first: bool, length: int) -> None:
    """Compute what :func:`run` computes, for chunks of ``length`` steps at once.

    The end of each chunk is computed as if the chunk started from zero. From these ends and the product of the factors
    of each chunk, the same recurrence over chunks yields the state at which each chunk really starts.
    """
    rest = len(terms) % length
    if rest:  # these steps come first, without chunks
        first, others = (slice(-rest, None), slice(-rest)) if last_first else (slice(rest), slice(rest, None))
        run(states[first], factors[first], terms[first], start, last_first)
        start = states[-rest] if last_first else states[rest - 1]
        states, factors, terms = states[others], factors[others], terms[others]
    chunks = (len(terms) // length, length)
    by_step = [values.view(*chunks, *values.shape[1:]).unbind(1) for values in (states, factors, terms)]
    if last_first:
        by_step = [values[::-1] for values in by_step]
    states_of, factors_of, terms_of = by_step
    end = terms_of[0].clone(memory_format=torch.contiguous_format)
    for factor, term in zip(factors_of[1:], terms_of[1:], strict=True):
        torch.addcmul(term, factor, end, out=end)
    product = factors.view(*chunks, *factors.shape[1:]).prod(1)
    state = torch.empty_like(end)
    if last_first:
        state[-1] = start
        run(state[:-1], product[1:], end[1:], start, last_first)
    else:
        state[0] = start
        run(state[1:], product[:-1], end[:-1], start, last_first)
    for chunk_states, factor, term in zip(states_of, factors_of, terms_of, strict=True):
        torch.addcmul(term, factor, state, out=chunk_states)
        state = chunk_states
