"""An adapter for a recurrent layer of another package."""

from typing import Any

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core, State, square_blocks
from rnn_tasks.errors import UsageError


class Foreign(Core):
    """A recurrent layer of another package: any module that is called like ``torch.nn.RNN``.

    The layer is built as ``layer(input_size, hidden_size, **options)``, called as ``layer(inputs, state)``, and returns
    ``outputs, state``. Nothing else is required of it.

    Args:
        input_size: Features of each step.
        hidden_size: Features of each step of the layer's output, ``>= 1``.
        layer: The class, named by its import path.
        options: Further keyword arguments of the class.
        batch_first: Whether the layer takes ``(batch, time, features)``; an attribute ``batch_first`` of the layer
            takes precedence.
        recurrent: Beginning of the names of its recurrent weights, for callbacks and for the learning rate.
        input: Beginning of the names of the weights that read its input.

    Raises:
        UsageError: The layer cannot be built, or is not called like ``torch.nn.RNN``.

    Example:
        >>> Foreign(3, 4, torch.nn.GRU, {"num_layers": 2})(torch.zeros(2, 5, 3))[0].shape
        torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layer: type[nn.Module],
        options: dict[str, Any] | None = None,
        batch_first: bool = True,
        recurrent: str = "weight_hh",
        input: str = "weight_ih_l0",
    ) -> None:
        super().__init__()
        name = f"{layer.__module__}.{layer.__qualname__}"
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        try:
            self.layer = layer(input_size, hidden_size, **(options or {}))
        except Exception as error:  # another package may raise anything
            raise UsageError(f"{name} cannot be built: {error}") from error
        self.batch_first = bool(getattr(self.layer, "batch_first", batch_first))
        self.recurrent = recurrent
        self.input = input
        self._try(name, input_size)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Call the layer; inputs and outputs are batch first here, also if the layer takes time first."""
        if self.batch_first:
            outputs, state = self.layer(inputs, state)
            return outputs, state
        outputs, state = self.layer(inputs.transpose(0, 1), state)
        return outputs.transpose(0, 1), state

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the square blocks of the parameters whose names begin with ``recurrent``; maybe none."""
        blocks: dict[str, Tensor] = {}
        for name, weight in self.layer.named_parameters():
            if name.rpartition(".")[2].startswith(self.recurrent) and weight.shape[-1:] == (self.hidden_size,):
                count, rest = divmod(weight.shape[0], self.hidden_size)
                if weight.ndim == 2 and not rest:
                    blocks |= square_blocks(name, weight, tuple(map(str, range(count))))
        return blocks

    def input_weights(self) -> list[Tensor]:
        """Return the matrices whose names begin with ``input``; maybe none."""
        return [
            weight
            for name, weight in self.layer.named_parameters()
            if name.rpartition(".")[2].startswith(self.input) and weight.ndim == 2
        ]

    def parameter_role(self, name: str) -> str:
        """Return the role by the beginning of the name: see the arguments ``recurrent`` and ``input``."""
        parts = name.split(".")  # the name of a parametrized weight has further parts: "weight_hh_l0.original"
        if any(part.startswith(self.recurrent) for part in parts):
            return "recurrent"
        return "input" if any(part.startswith(self.input) for part in parts) else "rest"

    @torch.no_grad()
    def _try(self, name: str, input_size: int) -> None:
        """Run two steps of three sequences, so that a layer with another contract is refused before training."""
        training = self.training
        self.eval()
        try:
            with torch.random.fork_rng(devices=[]):
                inputs = torch.randn(3, 2, input_size)
                numbers = torch.get_rng_state()
                outputs, _ = self(inputs)
                torch.set_rng_state(numbers)
                inputs[0] = 0
                others, _ = self(inputs)
            shape = tuple(outputs.shape)
            mixed = not torch.allclose(outputs[1:], others[1:], atol=1e-4)
        except Exception as error:  # another package may raise anything
            raise UsageError(f"{name} is not called as torch.nn.RNN is: {error}") from error
        finally:
            self.train(training)
        if shape != (3, 2, self.hidden_size):
            raise UsageError(f"{name} must return outputs of shape (batch, time, {self.hidden_size}), got {shape}")
        if mixed:
            raise UsageError(f"{name} mixes the sequences of a batch: if it takes time first, set batch_first to false")
