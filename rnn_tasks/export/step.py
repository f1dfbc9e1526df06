"""One time step of a network, with its state as separate tensors."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from rnn_tasks.cores import LRU, S4D, State
from rnn_tasks.cores.scan import differentiable_twice
from rnn_tasks.cores.state import map_state
from rnn_tasks.errors import UsageError
from rnn_tasks.export.real_layers import RealLRU, RealS4D
from rnn_tasks.networks import Network

REAL: dict[type[nn.Module], type[nn.Module]] = {LRU: RealLRU, S4D: RealS4D}
"""The real forms of complex layers."""

TRIAL_STEPS, TRIAL_BATCH = 12, 3
"""The size of the sequences on which the step is compared with the network."""

TOLERANCE = 1e-4
"""The largest difference between step and network, relative to the largest score if this is above 1."""


class StateTensor(NamedTuple):
    """A tensor of the state.

    Attributes:
        name: Its name: ``state``, or ``state_0``, ``state_1``, ... by its position in the state of the layer.
        shape: Its shape; None is the batch.
    """

    name: str
    shape: tuple[int | None, ...]

    def zeros(self, batch_size: int) -> Tensor:
        """Return the tensor before the first step."""
        return torch.zeros([batch_size if size is None else size for size in self.shape])


class Step(nn.Module):
    """One time step: ``(inputs, condition, *state) -> (scores, *state)``.

    Matrices that a constraint computes become plain matrices, and complex layers are written in real numbers.

    Args:
        network: The network, which is changed: nothing else can use it.

    Attributes:
        tensors: The tensors of the state, which is zero before the first step. Those without numbers are left out.

    Raises:
        UsageError: The layer does not begin with a state of zeros, or does not continue from its state.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.cpu().float().eval().requires_grad_(False)
        for module in list(self.network.modules()):
            if is_parametrized(module):
                for name in list(module.parametrizations):  # type: ignore[arg-type]
                    remove_parametrizations(module, name)
        inputs, condition = self.inputs(TRIAL_BATCH, TRIAL_STEPS)
        expected, self.structure = self.network(inputs, condition)
        shapes = zip(tensors_of(self.structure), tensors_of(self.network(inputs[:1], first(condition))[1]), strict=True)
        names = names_of(self.structure)
        self.all_tensors = [
            StateTensor(name, tuple(a if a == b else None for a, b in zip(many.shape, one.shape, strict=True)))
            for name, (many, one) in zip(names, shapes, strict=True)
        ]
        self.tensors = [tensor for tensor in self.all_tensors if 0 not in tensor.shape]
        replace_complex_layers(self.network)
        self.require_equal_to(expected, inputs, condition)

    def forward(self, inputs: Tensor, condition: Tensor | None, state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the scores of the step, ``(batch, output_size)``, and the tensors of the state after the step.

        Args:
            inputs: Symbols ``(batch,)``, or features ``(batch, input_size)``.
            condition: ``(batch,)`` if the task has conditions, otherwise None.
            state: The tensors of the state.
        """
        given = iter(state)
        every = iter(
            [next(given) if tensor in self.tensors else tensor.zeros(inputs.shape[0]) for tensor in self.all_tensors]
        )
        with differentiable_twice():  # layers compute step by step, without a gradient of their own
            scores, after = self.network(inputs[:, None], condition, map_state(self.structure, lambda _: next(every)))
        kept = [
            value for value, tensor in zip(tensors_of(after), self.all_tensors, strict=True) if tensor in self.tensors
        ]
        return scores[:, 0], *kept

    def inputs(self, batch_size: int, steps: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Return random inputs, ``(batch_size, steps)`` or with features, and conditions ``(batch_size,)`` or None.

        Args:
            batch_size: Number of sequences.
            steps: Number of time steps.
            seed: Random seed.
        """
        spec, generator = self.network.spec, torch.Generator().manual_seed(seed)
        inputs = torch.randint(spec.input_size, (batch_size, steps), generator=generator)
        if spec.real_inputs:
            inputs = torch.rand(batch_size, steps, spec.input_size, generator=generator)
        if not spec.num_conditions:
            return inputs, None
        return inputs, torch.randint(spec.num_conditions, (batch_size,), generator=generator)

    def require_equal_to(self, expected: Tensor, inputs: Tensor, condition: Tensor | None) -> None:
        """Raise unless the steps of a sequence, one after the other, have the scores of the whole sequence.

        Args:
            expected: The scores of the network.
            inputs: The inputs.
            condition: The conditions, or None.
        """
        state, scores = [tensor.zeros(len(inputs)) for tensor in self.tensors], []
        for time in range(inputs.shape[1]):
            score, *state = self(inputs[:, time], condition, state)
            scores.append(score)
        difference = float((torch.stack(scores, 1) - expected).abs().max())
        if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):  # also for NaN
            raise UsageError(
                "this layer cannot be exported: step by step, from a state of zeros, its outputs differ from those of "
                f"a whole sequence by {difference:.2g}"
            )


def first(condition: Tensor | None) -> Tensor | None:
    """Return the condition of the first sequence; None without conditions."""
    return None if condition is None else condition[:1]


def replace_complex_layers(module: nn.Module) -> None:
    """Replace the complex layers in a module by their real forms.

    Args:
        module: The module.
    """
    for name, child in module.named_children():
        if type(child) in REAL:
            setattr(module, name, REAL[type(child)](child))
        else:
            replace_complex_layers(child)


def tensors_of(state: State) -> list[Tensor]:
    """Return the tensors of a state in the order of :func:`~rnn_tasks.cores.state.map_state`."""
    tensors: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    map_state(state, collect)
    return tensors


def names_of(state: State, name: str = "state") -> Iterator[str]:
    """Yield the names of the tensors of a state, by their positions in tuples, lists and dictionaries.

    Args:
        state: The state.
        name: The name of the state.

    Example:
        >>> list(names_of((torch.zeros(1), {"a": torch.zeros(1)})))
        ['state_0', 'state_1_a']
        >>> list(names_of(torch.zeros(1)))
        ['state']
    """
    if isinstance(state, Tensor):
        yield name
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from names_of(value, f"{name}_{key}")
    elif isinstance(state, tuple | list):
        for position, value in enumerate(state):
            yield from names_of(value, f"{name}_{position}")
