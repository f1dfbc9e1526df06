"""The recurrence of a selective state space over a sequence, with a gradient written by hand.

Autograd would keep several tensors of ``time * batch * states * size`` numbers. Here the factors ``exp(d A)`` and the
terms ``u B`` are computed step by step, while they fit into the processor's cache, and again in the backward pass. Only
the states h are kept. On a GPU, a kernel per step would take longer than all of its arithmetic, so there the factors
and terms of all steps go to :func:`~rnn_tasks.cores.linear_scan.linear_scan`.
"""

from typing import Any

import torch
from torch import Tensor

from rnn_tasks.cores.linear_scan import linear_scan
from rnn_tasks.cores.scan import needs_step_graph, steps
from rnn_tasks.errors import UsageError


def selective_scan(
    delta: Tensor, values: Tensor, rates: Tensor, write: Tensor, read: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``y_t = sum_n C_tn h_tn`` and the last state of ``h_tn = exp(d_t A_n) h_{t-1,n} + u_t B_tn``.

    Each product is elementwise over the features; A, h and y are in single precision if the arguments are in half.

    Args:
        delta: d, ``(time, batch, size)``, positive.
        values: u, ``(time, batch, size)``.
        rates: A, ``(states, size)``, negative.
        write: B, ``(time, batch, states)``.
        read: C, ``(time, batch, states)``.
        start: h_0, ``(batch, states, size)``.

    Returns:
        y, ``(time, batch, size)``, and the last h, ``(batch, states, size)``.

    Example:
        >>> ones = torch.ones(3, 1, 1)
        >>> selective_scan(ones, ones, -100 * torch.ones(1, 1), ones, ones, torch.zeros(1, 1, 1))[1]
        tensor([[[1.]]])
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    delta, values, rates, write, read, start = (x.to(dtype) for x in (delta, values, rates, write, read, start))
    if values.is_cuda or needs_step_graph():
        factors, terms = torch.exp(delta[:, :, None] * rates), values[:, :, None] * write[..., None]
        states = linear_scan(factors, terms, start)
        return (read[..., None] * states).sum(2), states[-1]
    outputs, end = SelectiveScan.apply(delta, values, rates, write, read, start)  # type: ignore[no-untyped-call]
    return outputs, end


class SelectiveScan(torch.autograd.Function):
    """:func:`selective_scan` of tensors of one type; ``apply(delta, values, rates, write, read, start)``."""

    @staticmethod
    def forward(
        ctx: Any, delta: Tensor, values: Tensor, rates: Tensor, write: Tensor, read: Tensor, start: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs and the last state."""
        states = start.new_empty(len(delta), *start.shape)
        outputs = torch.empty_like(values, memory_format=torch.contiguous_format)
        factor, before = torch.empty_like(start, memory_format=torch.contiguous_format), start
        for d, u, b, c, state, output in zip(*map(steps, (delta, values, write, read, states, outputs)), strict=True):
            torch.mul(d[:, None], rates, out=factor).exp_()
            torch.mul(u[:, None], b[..., None], out=state).addcmul_(factor, before)
            torch.bmm(c[:, None], state, out=output[:, None])
            before = state
        ctx.save_for_backward(delta, values, rates, write, read, start, states)
        return outputs, before.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of all arguments.

        With g the gradient of y, the gradient of h_t is ``l_t = C_t g_t + exp(d_{t+1} A) l_{t+1}``, and
        ``p_t = l_t exp(d_t A) h_{t-1}`` is the gradient of ``d_t A``.
        """
        if torch.is_grad_enabled():
            raise UsageError("an S6 layer has no second derivative unless it is called in differentiable_twice()")
        delta, values, rates, write, read, start, states = ctx.saved_tensors
        by_delta, by_values, by_write, by_read = (
            torch.empty_like(x, memory_format=torch.contiguous_format) for x in (delta, values, write, read)
        )
        by_rates, product = torch.zeros_like(rates), torch.empty_like(start, memory_format=torch.contiguous_format)
        by_state = gradients[1].clone(memory_format=torch.contiguous_format)
        sequences = (delta, values, write, read, gradients[0].contiguous(), by_delta, by_values, by_write, by_read)
        state, earlier = states[-1], steps(states[:-1], last_first=True)
        for d, u, b, c, g, to_d, to_u, to_b, to_c in zip(*(steps(x, last_first=True) for x in sequences), strict=True):
            before = next(earlier, start)
            torch.bmm(state, g[..., None], out=to_c[..., None])
            by_state.addcmul_(c[..., None], g[:, None])
            torch.bmm(b[:, None], by_state, out=to_u[:, None])
            torch.bmm(by_state, u[..., None], out=to_b[..., None])
            by_state.mul_(torch.mul(d[:, None], rates, out=product).exp_())
            torch.mul(by_state, before, out=product)
            torch.sum(product * rates, 1, out=to_d)
            by_rates += product.mul_(d[:, None]).sum(0)
            state = before
        return by_delta, by_values, by_rates, by_write, by_read, by_state
