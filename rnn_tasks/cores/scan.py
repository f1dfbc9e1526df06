"""The Elman recurrence over a sequence, with a gradient written by hand.

Autograd would keep a graph of every step and compute a small matrix product for each step. Here the gradient of W is
one matrix product over all steps, and the states overwrite the input terms ``U x_t + b + c``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError

BLOCK = 256
"""Number of steps that are split into tensors at a time; the garbage collector visits every existing tensor."""

MINUS_ONE = torch.tensor(-1.0, device="cpu")

IS_DIFFERENTIABLE_TWICE: ContextVar[bool] = ContextVar("differentiable_twice", default=False)

BACKWARD: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "tanh": lambda gradient, state: torch.ops.aten.tanh_backward.grad_input(gradient, state, grad_input=gradient),
    "sigmoid": lambda gradient, state: torch.ops.aten.sigmoid_backward.grad_input(gradient, state, grad_input=gradient),
    "relu": lambda gradient, state: gradient.mul_(state > 0),
    "identity": lambda gradient, state: gradient,
}
"""For each activation f: multiply a gradient by ``f'(a)`` in place. ``f'(a)`` is computed from the state ``f(a)``."""


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Make layers keep a graph of every step, as second derivatives need it.

    Example:
        >>> from rnn_tasks.cores import Elman
        >>> layer, inputs = Elman(2, 3), torch.zeros(1, 4, 2, requires_grad=True)
        >>> with differentiable_twice():
        ...     outputs, _ = layer(inputs)
        >>> (slope,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
        >>> slope.requires_grad
        True
    """
    token = IS_DIFFERENTIABLE_TWICE.set(True)
    try:
        yield
    finally:
        IS_DIFFERENTIABLE_TWICE.reset(token)


def needs_step_graph() -> bool:
    """Return True within :func:`differentiable_twice` and within transforms of ``torch.func``."""
    return IS_DIFFERENTIABLE_TWICE.get() or torch._C._are_functorch_transforms_active()


class ElmanScan(torch.autograd.Function):
    """``h_t = f(a_t + W h_{t-1})`` for all t; ``apply(a, h_0, W, f)`` returns all states.

    The states overwrite ``a``, which is ``(time * batch, hidden)``, time first. ``h_0`` is ``(batch, hidden)``, W is
    ``(hidden, hidden)``, and f is ``tanh``, ``sigmoid``, ``relu`` or ``identity``.
    """

    @staticmethod
    def forward(ctx: Any, input_terms: Tensor, start: Tensor, weight: Tensor, activation: str) -> Tensor:
        """Return the states, in the shape of ``a``."""
        # Copying W once into the memory layout of the products makes every product faster.
        overwrite_with_states(input_terms.view(-1, *start.shape), start, weight.t().contiguous(), activation)
        ctx.mark_dirty(input_terms)
        ctx.save_for_backward(input_terms, start, weight)
        ctx.activation = activation
        return input_terms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        """Return the gradients of ``a``, ``h_0`` and W."""
        if torch.is_grad_enabled():
            raise UsageError("an Elman layer has no second derivative unless it is called in differentiable_twice()")
        (gradient,) = gradients
        states, start, weight = ctx.saved_tensors
        backward_through_activation = BACKWARD[ctx.activation]
        # All steps are copied at once: copying each step takes three times as long.
        input_gradient = gradient.clone(memory_format=torch.contiguous_format)
        states = states.view(-1, *start.shape)
        by_step = input_gradient.view(states.shape)
        next_step = None
        for step, state in zip(steps(by_step, last_first=True), steps(states, last_first=True), strict=True):
            if next_step is not None:
                step.addmm_(next_step, weight)
            backward_through_activation(step, state)
            next_step = step
        start_gradient = by_step[0] @ weight if ctx.needs_input_grad[1] else None
        weight_gradient = None
        if ctx.needs_input_grad[2]:
            weight_gradient = by_step[0].t() @ start
            if len(by_step) > 1:
                weight_gradient.addmm_(by_step[1:].flatten(0, 1).t(), states[:-1].flatten(0, 1))
        return input_gradient, start_gradient, weight_gradient, None


def steps(sequence: Tensor, last_first: bool = False) -> Iterator[Tensor]:
    """Yield each time step of a sequence ``(time, ...)``; split ``BLOCK`` steps at a time."""
    blocks = torch.split(sequence, BLOCK)
    for block in reversed(blocks) if last_first else blocks:
        block_steps = block.unbind(0)
        yield from reversed(block_steps) if last_first else block_steps


def tanh_of_half_(doubled: Tensor) -> Tensor:
    """Overwrite ``2 a`` by ``tanh(a)``, computed as ``2 sigmoid(2 a) - 1``; ``torch.tanh`` takes about 3 times as long.

    The absolute error is at most 2 eps, where eps is 1.2e-7 in single and 2.2e-16 in double precision. The largest
    measured error is 1.8e-7 and 3.4e-16; ``torch.tanh`` has errors of 3.1e-8 and 5.9e-17. The relative error is at most
    ``2 eps / |tanh(a)|``, so a small result has fewer correct digits. At ``|a| = 0.001`` the measured relative error is
    up to 1.1e-4 in single and 2.2e-13 in double precision; below ``|a| = eps / 4`` the result is 0.

    Args:
        doubled: ``2 a``, single or double precision, on the CPU; it is overwritten and returned.

    Example:
        >>> tanh_of_half_(torch.tensor([0.0, 2.0, 200.0]))
        tensor([0.0000, 0.7616, 1.0000])
    """
    return torch.add(MINUS_ONE, doubled.sigmoid_(), alpha=2, out=doubled)


def overwrite_with_states(input_terms: Tensor, state: Tensor, weight: Tensor, activation: str) -> None:
    """Overwrite the terms a_t by the states ``h_t = f(a_t + W h_{t-1})``, step by step.

    Args:
        input_terms: The terms a_t, ``(time, batch, hidden)``.
        state: The state h_0, ``(batch, hidden)``.
        weight: W transposed, ``(hidden, hidden)``.
        activation: The name of f.
    """
    on_cpu = input_terms.device.type == "cpu"
    if activation == "tanh" and on_cpu and input_terms.dtype in (torch.float32, torch.float64):
        for step in steps(input_terms):
            state = tanh_of_half_(step.addmm_(state, weight, beta=2, alpha=2))
        return
    in_place: dict[str, Callable[[Tensor], Any]] = {
        "tanh": Tensor.tanh_,
        "sigmoid": Tensor.sigmoid_,
        "relu": Tensor.relu_,
        "identity": lambda values: values,
    }
    apply = in_place[activation]
    for step in steps(input_terms):
        state = step.addmm_(state, weight)
        apply(state)
