"""Layers with the parameter names and shapes of torch's recurrent layers."""

from abc import ABC

import torch
from torch import Tensor

from rnn_tasks.cores.bounds import positive
from rnn_tasks.cores.core import Core, square_blocks
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit


class Stacked(Core, ABC):
    """A layer with parameters ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, ``weight_ih_l1``, ...

    Each parameter stacks a block of ``hidden_size`` rows for each gate. The biases ``bias_hh_l*`` are optional.

    Attributes:
        gates: Names of the gates, in the order of their blocks from top to bottom.
        num_layers: Number of stacked layers.
    """

    gates: tuple[str, ...]
    num_layers: int
    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the matrix of each gate, such as ``weight_hh_l0/update``; a single gate's is ``weight_hh_l0``."""
        blocks: dict[str, Tensor] = {}
        for layer in range(self.num_layers):
            name = f"weight_hh_l{layer}"
            blocks |= square_blocks(name, getattr(self, name), self.gates)
        return blocks

    def input_weights(self) -> list[Tensor]:
        """Return the input matrix of the first layer, ``(gates * hidden_size, input_size)``."""
        return [self.weight_ih_l0]

    @torch.no_grad()
    def initialise(
        self,
        recurrent_init: RecurrentInit | None,
        input_scale: float,
        gate_bias: GateBias | None,
        input_init: RecurrentInit | None = None,
        zero_bias: bool = False,
    ) -> None:
        """Overwrite torch's initial values of weights and biases; the layers document the arguments."""
        positive(input_scale, "input_scale")
        parameters = dict(self.named_parameters(recurse=False))
        if input_init is not None:
            for layer in range(self.num_layers):
                for block in parameters[f"weight_ih_l{layer}"].chunk(len(self.gates)):
                    input_init(block)
        parameters["weight_ih_l0"].mul_(input_scale)
        if recurrent_init is not None:
            for block in self.recurrent_weights().values():
                recurrent_init(block)
        for layer in range(self.num_layers):
            initial = {gate: torch.zeros(self.hidden_size) for gate in self.gates} if zero_bias else {}
            if gate_bias is not None:
                initial |= gate_bias.values(self.gates, self.hidden_size)
            # The layer adds both biases: bias_ih gets the whole initial value, bias_hh gets zero.
            for name, scale in ((f"bias_ih_l{layer}", 1.0), (f"bias_hh_l{layer}", 0.0)):
                if name in parameters:
                    blocks = dict(zip(self.gates, parameters[name].chunk(len(self.gates)), strict=True))
                    for gate, bias in initial.items():
                        blocks[gate].copy_(scale * bias)
