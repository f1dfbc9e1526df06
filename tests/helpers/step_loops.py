"""Compares a layer with a loop over the steps that a test writes from the layer's equations."""

from collections.abc import Callable

import torch
from torch import Tensor

from rnn_tasks.cores import Core

StepLoop = Callable[[dict[str, Tensor], Tensor, Tensor], tuple[Tensor, Tensor]]
"""From parameters by name, inputs and a start state ``(batch, state_size)`` to outputs and the end state."""


def assert_equals_loop(layer: Core, loop: StepLoop, time: int = 70) -> None:
    """Check outputs, the end state and the gradients of inputs, start state and all parameters to 1e-8."""
    layer.double()
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.double)

    inputs = random(3, time, layer.input_size).requires_grad_()
    state = random(3, layer.state_size).requires_grad_()
    weights, end_weights = random(3, time, layer.hidden_size), random(3, layer.state_size)
    leaves = [inputs, state, *layer.parameters()]

    def with_gradients(outputs: Tensor, end: Tensor) -> list[Tensor]:
        loss = (weights * outputs).square().sum() + (end_weights * end).sum()
        return [outputs, end, *torch.autograd.grad(loss, leaves)]

    ours = with_gradients(*layer(inputs, state))
    expected = with_gradients(*loop(dict(layer.named_parameters()), inputs, state))
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8)
