"""The Elman recurrence over a sequence, with its gradient written by hand.

Autograd would keep a graph of every step and compute a small matrix product for each of them. Here the gradient of W is
one matrix product over all steps, and the states overwrite the input's part.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError

BLOCK = 256
"""Number of steps that are split into tensors at a time: the garbage collector visits each of these objects."""

MINUS_ONE = torch.tensor(-1.0, device="cpu")

TWICE: ContextVar[bool] = ContextVar("differentiable_twice", default=False)

BACKWARD: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "tanh": lambda gradient, state: torch.ops.aten.tanh_backward.grad_input(gradient, state, grad_input=gradient),
    "sigmoid": lambda gradient, state: torch.ops.aten.sigmoid_backward.grad_input(gradient, state, grad_input=gradient),
    "relu": lambda gradient, state: gradient.mul_(state > 0),
    "identity": lambda gradient, state: gradient,
}
"""For each activation f: overwrite the gradient of ``f(a)`` by that of a. ``f'(a)`` follows from the state ``f(a)``."""


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Let layers keep a graph of every step, so that second derivatives and transforms of ``torch.func`` exist.

    Example:
        >>> from rnn_tasks.cores import Elman
        >>> layer, inputs = Elman(2, 3), torch.zeros(1, 4, 2, requires_grad=True)
        >>> with differentiable_twice():
        ...     outputs, _ = layer(inputs)
        >>> (slope,) = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
        >>> slope.requires_grad
        True
    """
    token = TWICE.set(True)
    try:
        yield
    finally:
        TWICE.reset(token)


def is_transformed() -> bool:
    """Return whether autograd must see every step: in :func:`differentiable_twice` or a transform of ``torch.func``."""
    return TWICE.get() or torch._C._are_functorch_transforms_active()


class ElmanScan(torch.autograd.Function):
    """``h_t = f(a_t + W h_{t-1})`` for all t; ``apply(a, h_0, W, f)`` returns every state.

    ``a`` is ``(time * batch, hidden)``, time first, and is overwritten by the states; ``h_0`` is ``(batch, hidden)``,
    W ``(hidden, hidden)``, f one of ``tanh``, ``sigmoid``, ``relu`` and ``identity``.
    """

    @staticmethod
    def forward(ctx: Any, currents: Tensor, start: Tensor, weight: Tensor, activation: str) -> Tensor:
        """Return the states, in the shape of ``a``."""
        # One copy of W in the memory layout of the products, which makes every product faster.
        advance(currents.view(-1, *start.shape), start, weight.t().contiguous(), activation)
        ctx.mark_dirty(currents)
        ctx.save_for_backward(currents, start, weight)
        ctx.activation = activation
        return currents

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        """Return the gradients of ``a``, ``h_0`` and W."""
        if torch.is_grad_enabled():
            raise UsageError("this gradient has no second derivative: call the layer within differentiable_twice()")
        (gradient,) = gradients
        states, start, weight = ctx.saved_tensors
        through_activation = BACKWARD[ctx.activation]
        # One copy of all steps: copying each step takes three times as long.
        result = gradient.clone(memory_format=torch.contiguous_format)
        states = states.view(-1, *start.shape)
        slots = result.view(states.shape)
        later = None
        for slot, state in zip(steps(slots, last_first=True), steps(states, last_first=True), strict=True):
            if later is not None:
                slot.addmm_(later, weight)
            through_activation(slot, state)
            later = slot
        of_weight = None
        if ctx.needs_input_grad[2]:
            of_weight = slots[0].t() @ start
            if len(slots) > 1:
                of_weight.addmm_(slots[1:].flatten(0, 1).t(), states[:-1].flatten(0, 1))
        return result, slots[0] @ weight if ctx.needs_input_grad[1] else None, of_weight, None


def steps(sequence: Tensor, last_first: bool = False) -> Iterator[Tensor]:
    """Yield each time step of a sequence; ``BLOCK`` of them are split off at a time."""
    blocks = torch.split(sequence, BLOCK)
    for block in reversed(blocks) if last_first else blocks:
        cut = block.unbind(0)
        yield from reversed(cut) if last_first else cut


def tanh_of_half_(doubled: Tensor) -> Tensor:
    """Overwrite ``2 a`` by ``tanh(a)``, computed as ``2 sigmoid(2 a) - 1``; ``torch.tanh`` takes about 3 times as long.

    The absolute error is at most 2 eps, where eps is 1.2e-7 in single and 2.2e-16 in double precision. Measured are
    1.8e-7 and 3.4e-16; ``torch.tanh`` has 3.1e-8 and 5.9e-17. The relative error is at most ``2 eps / |tanh(a)|``, so
    a small result has fewer correct digits. At ``|a| = 0.001`` the measured relative error is up to 1.1e-4 in single
    and 2.2e-13 in double precision; below ``|a| = eps / 4`` the result is 0.

    Args:
        doubled: ``2 a``, single or double precision, on the CPU; overwritten and returned.

    Example:
        >>> tanh_of_half_(torch.tensor([0.0, 2.0, 200.0]))
        tensor([0.0000, 0.7616, 1.0000])
    """
    return torch.add(MINUS_ONE, doubled.sigmoid_(), alpha=2, out=doubled)


def advance(currents: Tensor, state: Tensor, weight: Tensor, activation: str) -> None:
    """Overwrite ``a`` by the states, step by step.

    Args:
        currents: ``a``, ``(time, batch, hidden)``.
        state: ``h_0``, ``(batch, hidden)``.
        weight: W, transposed.
        activation: f.
    """
    if activation == "tanh" and currents.device.type == "cpu" and currents.dtype in (torch.float32, torch.float64):
        for current in steps(currents):
            state = tanh_of_half_(current.addmm_(state, weight, beta=2, alpha=2))
        return
    in_place: dict[str, Callable[[Tensor], Any]] = {
        "tanh": Tensor.tanh_,
        "sigmoid": Tensor.sigmoid_,
        "relu": Tensor.relu_,
        "identity": lambda values: values,
    }
    apply = in_place[activation]
    for current in steps(currents):
        state = current.addmm_(state, weight)
        apply(state)
