"""Initial biases of gates. The bias decides how far a gate is open at the start of training."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError


class GateBias(ABC):
    """Base class of the initial biases of a layer's gates."""

    @abstractmethod
    def values(self, gates: tuple[str, ...], hidden_size: int) -> dict[str, Tensor]:
        """Return the initial biases by gate, ``(hidden_size,)`` each; a gate that is left out keeps torch's biases.

        Args:
            gates: Names of the layer's gates: ``reset update new`` of a GRU, ``input forget cell output`` of an LSTM.
            hidden_size: Units of the layer.

        Raises:
            UsageError: The layer has no such gate.
        """


@dataclass(frozen=True)
class GateBiases(GateBias):
    """One bias for all units of a gate, by the gate's name.

    Args:
        biases: The bias by gate. ``{reset: 3, update: -3}`` starts a GRU close to a plain tanh network.
    """

    biases: dict[str, float]

    def values(self, gates: tuple[str, ...], hidden_size: int) -> dict[str, Tensor]:
        """Return the same bias for all units of a gate."""
        for gate in self.biases:
            if gate not in gates:
                raise UsageError(f"this layer has no gate {gate!r}; its gates are {', '.join(gates)}")
        return {gate: torch.full((hidden_size,), float(bias)) for gate, bias in self.biases.items()}


@dataclass(frozen=True)
class Chrono(GateBias):
    """Biases with which the units start with time constants of 2 to ``max_delay`` steps.

    Source: C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", 2018,
    https://arxiv.org/abs/1804.11188

    Args:
        max_delay: Length of the longest expected dependency in steps, ``> 2``.
    """

    max_delay: float

    def values(self, gates: tuple[str, ...], hidden_size: int) -> dict[str, Tensor]:
        """Return ``log(u)`` for the forget or update gate and ``-log(u)`` for an input gate.

        The numbers u are uniform between 1 and ``max_delay - 1``, drawn for each unit.
        """
        if self.max_delay <= 2:
            raise UsageError(f"max_delay must be above 2, got {self.max_delay}")
        keep = torch.empty(hidden_size).uniform_(1, self.max_delay - 1).log()
        if "forget" in gates:
            return {"forget": keep, "input": -keep}
        if "update" in gates:
            return {"update": keep}
        raise UsageError(f"chrono biases need a forget or an update gate; this layer's gates are {', '.join(gates)}")
