"""One time step of complex layers in real arithmetic: ONNX has no complex numbers."""

import torch
from torch import Tensor, nn

from rnn_tasks.cores import LRU, S4D


class RealLRU(nn.Module):
    """One time step of an :class:`~rnn_tasks.cores.LRU`.

    Args:
        layer: The layer.
    """

    real: Tensor
    imaginary: Tensor
    weight_in: Tensor
    weight_out: Tensor
    skip: Tensor

    def __init__(self, layer: LRU) -> None:
        super().__init__()
        diagonal = layer.eigenvalues(torch.empty(0))["diagonal"].to(torch.complex64)
        scale = layer.gamma_log.detach().exp().repeat_interleave(2)[:, None]
        self.register_buffer("real", diagonal.real.clone())
        self.register_buffer("imaginary", diagonal.imag.clone())
        self.register_buffer("weight_in", (scale * layer.weight_in.detach()).t().contiguous())
        self.register_buffer("weight_out", layer.weight_out.detach().t().contiguous())
        self.register_buffer("skip", layer.skip.detach().t().contiguous())

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run the layer over one time step; the arguments and results are those of the layer.

        Args:
            inputs: ``(batch, 1, input_size)``.
            state: ``(batch, 2 * num_states)``.
        """
        row = inputs[:, 0]
        real, imaginary = pairs_of(row @ self.weight_in)
        real, imaginary = rotated(pairs_of(state), (self.real, self.imaginary), (real, imaginary))
        state = torch.stack([real, imaginary], 2).flatten(1)
        skipped = row * self.skip if self.skip.ndim == 1 else row @ self.skip
        return (state @ self.weight_out + skipped)[:, None], state


class RealS4D(nn.Module):
    """One time step of an :class:`~rnn_tasks.cores.S4D`.

    Args:
        layer: The layer.
    """

    factor_real: Tensor
    factor_imaginary: Tensor
    weight_real: Tensor
    weight_imaginary: Tensor
    skip: Tensor

    def __init__(self, layer: S4D) -> None:
        super().__init__()
        factors = layer.eigenvalues(torch.empty(0))["diagonal"].view(layer.a_imag.shape)
        rates = torch.complex(-layer.a_log.detach().exp(), layer.a_imag.detach())
        weights = 2 * torch.view_as_complex(layer.weight_out.detach()) * (factors - 1) / rates
        self.linear = layer.linear
        for name, values in (("factor", factors), ("weight", weights)):
            self.register_buffer(f"{name}_real", values.real.float().flatten())
            self.register_buffer(f"{name}_imaginary", values.imag.float().flatten())
        self.register_buffer("skip", layer.skip.detach().clone())
        self.states_per_channel = layer.a_imag.shape[1]

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run the layer over one time step; the arguments and results are those of the layer.

        Args:
            inputs: ``(batch, 1, input_size)``.
            state: ``(batch, hidden_size * num_states)``.
        """
        values = self.linear(inputs[:, 0])
        drive = values.repeat_interleave(self.states_per_channel, 1)
        factors = (self.factor_real, self.factor_imaginary)
        real, imaginary = rotated(pairs_of(state), factors, (drive, torch.zeros_like(drive)))
        terms = self.weight_real * real - self.weight_imaginary * imaginary
        outputs = terms.view(terms.shape[0], -1, self.states_per_channel).sum(2) + self.skip * values
        return outputs[:, None], torch.stack([real, imaginary], 2).flatten(1)


Parts = tuple[Tensor, Tensor]
"""The real and the imaginary parts of complex numbers."""


def pairs_of(values: Tensor) -> Parts:
    """Return the real and the imaginary parts, each ``(batch, n)``, of pairs ``(batch, 2 n)``."""
    real, imaginary = values.view(values.shape[0], -1, 2).unbind(2)
    return real, imaginary


def rotated(state: Parts, factor: Parts, term: Parts) -> Parts:
    """Return ``factor * state + term`` for complex numbers."""
    real = factor[0] * state[0] - factor[1] * state[1] + term[0]
    imaginary = factor[0] * state[1] + factor[1] * state[0] + term[1]
    return real, imaginary
