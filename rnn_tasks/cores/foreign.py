"""An adapter for a recurrent layer of another package."""

from typing import Any

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core, square_blocks
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.cores.state import State
from rnn_tasks.errors import UsageError

RECURRENT, INPUT = "weight_hh", "weight_ih_l0"
"""Prefixes of the names of the recurrent weights and the input weights of torch's layers."""

TRIAL_STEPS, CUT = 5, 3
"""Steps of the sequences of the trial run, and of their first part when they are cut."""


class Foreign(Core):
    """A recurrent layer of another package: any module that is called like ``torch.nn.RNN``.

    The layer is built by ``layer(input_size, hidden_size, **options)``. A call ``layer(inputs, state)`` must return
    ``outputs, state``. A trial run checks that the layer does not mix sequences, does not look ahead, and continues
    from its state (the last one only if its outputs are not random in evaluation mode).

    Args:
        input_size: Features per time step.
        hidden_size: Features of the layer's output per time step, ``>= 1``.
        layer: The class; in YAML its import path.
        options: Further keyword arguments of the class.
        batch_first: Whether the layer takes ``(batch, time, features)``; an attribute ``batch_first`` of the layer
            takes precedence.
        recurrent: Prefix of the names of the recurrent weights, for callbacks and for ``recurrent_lr_factor``.
            A parameter must have it, unless it is the default.
        input: Prefix of the names of the input weights, for ``input_lr_factor`` and ``zero_blank_weights``.
            A parameter must have it, unless it is the default.

    Raises:
        UsageError: The layer cannot be built, has no parameter with a prefix, is not called like ``torch.nn.RNN``, or
            fails the trial run.

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
        recurrent: str = RECURRENT,
        input: str = INPUT,
    ) -> None:
        super().__init__()
        name = f"{layer.__module__}.{layer.__qualname__}"
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.recurrent_names = (recurrent,)
        self.input_names = (input,)
        try:
            self.layer = layer(input_size, hidden_size, **(options or {}))
        except Exception as error:  # another package may raise anything
            raise UsageError(f"{name} cannot be built: {error}") from error
        parameters = [parameter for parameter, _ in self.layer.named_parameters()]
        for option, prefix, default in (("recurrent", recurrent, RECURRENT), ("input", input, INPUT)):
            if prefix != default and not any(f".{prefix}" in f".{parameter}" for parameter in parameters):
                raise UsageError(
                    f"{name} has no parameter whose name begins with {prefix!r} (option {option}); "
                    f"it has {', '.join(parameters) or 'none'}"
                )
        self.batch_first = bool(getattr(self.layer, "batch_first", batch_first))
        self._check_contract(name, input_size)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Call the layer; inputs and outputs are ``(batch, time, features)`` even if the layer takes time first."""
        if self.batch_first:
            outputs, state = self.layer(inputs, state)
            return outputs, state
        outputs, state = self.layer(inputs.transpose(0, 1), state)
        return outputs.transpose(0, 1), state

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the square blocks of the parameters whose names begin with ``recurrent``; empty if there are none."""
        blocks: dict[str, Tensor] = {}
        for name, weight in self.layer.named_parameters():
            if name.rpartition(".")[2].startswith(self.recurrent_names) and weight.shape[-1:] == (self.hidden_size,):
                count, rest = divmod(weight.shape[0], self.hidden_size)
                if weight.ndim == 2 and not rest:
                    blocks |= square_blocks(name, weight, tuple(map(str, range(count))))
        return blocks

    def input_weights(self) -> list[Tensor]:
        """Return the matrices whose names begin with ``input``; empty if there are none."""
        return [
            weight
            for name, weight in self.layer.named_parameters()
            if name.rpartition(".")[2].startswith(self.input_names) and weight.ndim == 2
        ]

    @torch.no_grad()
    def _check_contract(self, name: str, input_size: int) -> None:
        """Raise a UsageError if a trial run of three sequences does not return what a core must return."""
        inputs = torch.randn(3, TRIAL_STEPS, input_size, generator=torch.Generator().manual_seed(0))
        other_sequence, later_inputs = inputs.clone(), inputs.clone()
        other_sequence[0] = 0
        later_inputs[:, CUT:] = 0
        with evaluation_mode(self), torch.random.fork_rng(devices=[]):
            outputs = self._trial(name, inputs)
            shape = tuple(outputs.shape)
            if shape != (3, TRIAL_STEPS, self.hidden_size):
                expected = f"(batch, time, {self.hidden_size})"
                raise UsageError(f"{name} must return outputs of shape {expected}, got {shape} for a batch of 3")
            if not _close(self._trial(name, other_sequence)[1:], outputs[1:]):
                raise UsageError(
                    f"{name} mixes the sequences of a batch: if it takes time first, set batch_first to false"
                )
            earlier, earlier_changed = outputs[:, :CUT], self._trial(name, later_inputs)[:, :CUT]
            if not _close(earlier_changed, earlier):
                changes = (earlier_changed - earlier).abs().amax((0, 2))
                step = int(changes.argmax())
                raise UsageError(
                    f"{name} looks ahead: its output at step {step + 1} changes by {float(changes[step]):.2g} if only "
                    f"the inputs from step {CUT + 1} on change; an output must not depend on later inputs"
                )
            is_random = not torch.equal(self._trial(name, inputs, seed=1), outputs)
            if not is_random and not _close(self._trial(name, inputs, cut=True), outputs):
                raise UsageError(
                    f"{name} does not continue from its state: a sequence in two parts, with the state after the first "
                    "part given to the second, must have the outputs of the whole sequence"
                )

    def _trial(self, name: str, inputs: Tensor, seed: int = 0, cut: bool = False) -> Tensor:
        """Return the outputs of a trial run, with the sequences cut into two parts if ``cut`` is set."""
        torch.default_generator.manual_seed(seed)
        try:
            state, outputs = None, []
            for part in [inputs[:, :CUT], inputs[:, CUT:]] if cut else [inputs]:
                output, state = self(part, state)
                outputs.append(output)
            return torch.cat(outputs, 1)
        except Exception as error:  # another package may raise anything
            raise UsageError(f"{name} cannot be called like torch.nn.RNN: {error}") from error


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)
