"""Initial biases of gates. The bias decides how far a gate is open at the start of training."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from rnn_tasks.cores.bounds import finite
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
        return {
            gate: torch.full((hidden_size,), finite(bias, f"the bias of {gate}")) for gate, bias in self.biases.items()
        }


@dataclass(frozen=True)
class Chrono(GateBias):
    """Biases with which the units of a gated layer start with memories of 2 to ``max_delay`` steps.

    For each unit, u is drawn uniformly from ``[1, max_delay - 1]``. The gate that keeps the state (an LSTM's forget
    gate; a GRU's update gate, which keeps the state at 1 in torch's convention) starts with the bias log(u). While only
    the bias acts, the unit keeps u / (1 + u) of its state per step, so its time constant is 1 + u steps. The input gate
    of an LSTM starts with -log(u). The other gates keep their biases. The draws come from torch's global generator.

    Source: C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188.

    Args:
        max_delay: The longest dependency of the task in steps, ``> 2``; T_max in the paper.
    """

    max_delay: float

    def values(self, gates: tuple[str, ...], hidden_size: int) -> dict[str, Tensor]:
        """Return log(u) for the gate that keeps the state and, in an LSTM, -log(u) for the input gate."""
        if finite(self.max_delay, "max_delay") <= 2:
            raise UsageError(f"max_delay must be above 2, got {self.max_delay}")
        keep = torch.empty(hidden_size).uniform_(1, self.max_delay - 1).log()
        if "forget" in gates:
            return {"forget": keep, "input": -keep}
        if "update" in gates:
            return {"update": keep}
        raise UsageError(f"chrono biases need a forget or an update gate; this layer's gates are {', '.join(gates)}")
