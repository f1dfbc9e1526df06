"""Snapshots of a network during training: take, join, write and read them."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from rnn_tasks.analysis.dynamics import eigenvalues, saturation
from rnn_tasks.analysis.flow import affordable, evaluating, gradient_by_time_step, hidden_states
from rnn_tasks.cores import (
    LRU,
    MLSTM,
    RGLRU,
    S4D,
    S6,
    Block,
    Blocks,
    Core,
    CoRNN,
    DeltaNet,
    Elman,
    Foreign,
    IndRNN,
    MinGRU,
    MinLSTM,
)
from rnn_tasks.errors import UsageError, require
from rnn_tasks.networks import LanguageNetwork, Network
from rnn_tasks.runs.checkpoints import read_tensors
from rnn_tasks.runs.files import write_atomically
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.spec.vocabulary import UNKNOWN

SNAPSHOTS = "snapshots.pt"
"""Name of the file in a run folder."""

FORMAT = "rnn_tasks.snapshots/1"

UNBOUNDED = (LRU, MLSTM, RGLRU, S4D, S6, Block, Blocks, CoRNN, DeltaNet, MinGRU, MinLSTM)
"""Layers whose outputs can leave -1..1."""


@dataclass(frozen=True)
class Snapshots:
    """n snapshots of one training run, all measured on the same sequence. All tensors are on the CPU.

    Attributes:
        steps: Optimizer steps before each snapshot, increasing, ``(n,)`` int64.
        inputs: The symbols that the network read, ``(time,)`` int64, or the real features, ``(time, features)``.
        targets: The correct answers, ``(time,)`` int64 with ``NOT_SCORED`` at steps that are not scored, or real
            values, ``(time, outputs)``, with NaN at these steps.
        condition: The condition of the sequence, or None.
        alphabet: The letter of each input symbol; empty if the task defines none.
        weights: All weights by the names of ``network.named_parameters()``, ``(n, ...)`` each. A parametrized weight is
            the computed weight, under its name in the layer.
        eigenvalues: Eigenvalues of each recurrent matrix, or of what else carries the state, by name, ``(n, numbers)``
            complex, in decreasing order of absolute value; empty if the layer has none. See
            :func:`rnn_tasks.analysis.eigenvalues`.
        gradient_norms: L2 norm of each parameter's gradient before clipping, in the last step before the snapshot,
            ``(n,)``; NaN if there was no gradient, as before the first step.
        gradient_by_time_step: Norm of ``dL/dh_t`` for each t, ``(n, time)``; None if the layer's state cannot be
            flattened or is too large. See :func:`rnn_tasks.analysis.gradient_by_time_step`.
        states: Hidden states along the sequence, ``(n, time, hidden_size)``.
        predictions: Probabilities of the output symbols along the sequence, or the real values that the network
            outputs, ``(n, time, output_size)``.
        saturation: Share of saturated hidden states of each unit, over several sequences, ``(n, hidden_size)``; None
            if the layer's states are unbounded. See :func:`rnn_tasks.analysis.saturation`.
        samples: The text that a language model generated at each snapshot; empty for other models.
        thinning: The factor by which the intervals between snapshots were increased to limit the size.
    """

    steps: Tensor
    inputs: Tensor
    targets: Tensor
    condition: int | None
    alphabet: tuple[str, ...]
    weights: dict[str, Tensor]
    eigenvalues: dict[str, Tensor]
    gradient_norms: dict[str, Tensor]
    gradient_by_time_step: Tensor | None
    states: Tensor
    predictions: Tensor
    saturation: Tensor | None
    samples: tuple[str, ...] = ()
    thinning: int = 1

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def nbytes(self) -> int:
        """Size of all tensors that hold one row per snapshot, in bytes."""
        return sum(tensor.nbytes for tensor in _rows(self).values())


SHARED_FIELDS = ("inputs", "targets", "condition", "alphabet")
"""Fields with one value for all snapshots."""

ROW_FIELDS = (
    "steps",
    "weights",
    "eigenvalues",
    "gradient_norms",
    "gradient_by_time_step",
    "states",
    "predictions",
    "saturation",
)
"""Fields with one row per snapshot: a tensor, a dictionary of tensors, or None."""


def take_snapshot(
    network: Network,
    batch: Batch,
    step: int,
    gradient_norms: Mapping[str, Tensor] | None = None,
    sample_length: int = 60,
    threshold: float = 0.95,
) -> Snapshots:
    """Return a snapshot of a network. The network's gradients and the global random numbers stay unchanged.

    Args:
        network: The network.
        batch: The sequences that the network reads: all of them for the saturation, the first one for all else.
        step: Optimizer steps so far.
        gradient_norms: Norm of each parameter's gradient; None before the first step.
        sample_length: Characters that a language model adds to its task's prefix, ``>= 0``.
        threshold: See :func:`rnn_tasks.analysis.saturation`.

    Returns:
        :class:`Snapshots` with n = 1.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> snapshot = take_snapshot(network, task.train_batch(0), step=0)
        >>> snapshot.states.shape, snapshot.weights["core.weight_hh_l0"].shape
        (torch.Size([1, 7, 8]), torch.Size([1, 24, 8]))
    """
    first = batch.rows(0, 1)
    norms = {name: torch.tensor([torch.nan]) for name, weight in network.named_parameters() if weight.requires_grad}
    norms |= {name: _cpu_copy(norm)[None] for name, norm in (gradient_norms or {}).items()}
    gradient = _gradient_by_time_step(network, first)
    with torch.no_grad(), evaluating(network):
        states = hidden_states(network, batch)
        return Snapshots(
            steps=torch.tensor([step]),
            inputs=_cpu_copy(first.inputs[0]),
            targets=_cpu_copy(first.targets[0]),
            condition=None if first.condition is None else int(first.condition[0]),
            alphabet=alphabet(network.spec),
            weights={name: _cpu_copy(weight)[None] for name, weight in effective_weights(network).items()},
            eigenvalues={
                name: values.to(torch.complex64)[None] for name, values in eigenvalues(network, first).items()
            },
            gradient_norms=norms,
            gradient_by_time_step=gradient,
            states=_cpu_copy(states[:1]),
            predictions=_cpu_copy(_predictions(network, first)),
            saturation=_cpu_copy(saturation(states, threshold))[None] if has_bounds(network.core) else None,
            samples=_samples(network, sample_length),
        )


def effective_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return all weights that the network uses, by name: computed weights instead of their parametrizations.

    Example:
        >>> from torch.nn.utils.parametrizations import orthogonal
        >>> list(effective_weights(nn.Sequential(orthogonal(nn.Linear(3, 3)))))
        ['0.bias', '0.weight']
    """
    weights: dict[str, Tensor] = {
        name: weight for name, weight in network.named_parameters() if "parametrizations" not in name.split(".")
    }
    for path, module in network.named_modules():
        if is_parametrized(module):
            assert isinstance(module.parametrizations, nn.ModuleDict)
            weights |= {f"{path}.{name}".lstrip("."): getattr(module, name) for name in module.parametrizations}
    return weights


def has_bounds(core: Core) -> bool:
    """Return whether the outputs of a layer cannot leave -1..1; True for layers that this package does not know.

    Example:
        >>> has_bounds(Elman(3, 4)), has_bounds(Elman(3, 4, activation="relu")), has_bounds(MinGRU(3, 4))
        (True, False, False)
    """
    layer = core.layer if isinstance(core, Foreign) else core
    if isinstance(layer, UNBOUNDED):
        return False
    if isinstance(layer, Elman | IndRNN):
        return layer.activation in ("tanh", "sigmoid")
    return not isinstance(layer, nn.RNN) or layer.nonlinearity == "tanh"


def alphabet(spec: TaskSpec) -> tuple[str, ...]:
    """Return the letter of each input symbol of a task; empty if the task defines none."""
    if spec.vocabulary is not None:
        return (UNKNOWN, *spec.vocabulary.characters)
    return () if spec.codec is None else tuple(spec.codec.symbols)


def output_alphabet(spec: TaskSpec) -> tuple[str, ...]:
    """Return the letter of each output symbol of a task; empty if the task defines none."""
    if spec.codec is not None and spec.codec.output_symbols:
        return tuple(spec.codec.output_symbols)
    return alphabet(spec)


def joined(parts: Sequence[Snapshots]) -> Snapshots:
    """Join snapshots of one training run.

    Args:
        parts: The snapshots, at least one, in the order of their steps.

    Raises:
        UsageError: Snapshots of different networks or sequences, or steps that do not increase.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for other in parts[1:]:
        fits = _shapes(other) == _shapes(first) and all(
            _equal(getattr(other, name), getattr(first, name)) for name in SHARED_FIELDS
        )
        require(fits, "the snapshots come from different networks, or from different sequences")
    result = _combined(parts, torch.cat, sum((part.samples for part in parts), ()))
    require(bool((result.steps.diff() > 0).all()), "the steps of snapshots must increase")
    return result


def selected(snapshots: Snapshots, kept: Tensor) -> Snapshots:
    """Return some of the snapshots.

    Args:
        snapshots: The snapshots.
        kept: The snapshots to return, ``(n,)`` bool.
    """
    samples = tuple(text for text, keep in zip(snapshots.samples, kept.tolist(), strict=False) if keep)
    return _combined([snapshots], lambda tensors: tensors[0][kept], samples)


def to_dict(snapshots: Snapshots) -> dict[str, Any]:
    """Return the snapshots as a dictionary of tensors and plain values, the inverse of :func:`from_dict`."""
    return {"format": FORMAT, **vars(snapshots)}


def from_dict(values: Any) -> Snapshots:
    """Return the snapshots of a dictionary that :func:`to_dict` returned.

    Raises:
        UsageError: Anything else.
    """
    require(isinstance(values, dict) and values.get("format") == FORMAT, f"not snapshots in the format {FORMAT}")
    try:
        values = {name: value for name, value in values.items() if name != "format"}
        snapshots = Snapshots(**values)
        _check(snapshots)
    except (TypeError, AttributeError, IndexError, ValueError) as error:  # UsageError is a ValueError
        raise UsageError("the snapshots are incomplete or inconsistent") from error
    return snapshots


def write_snapshots(path: Path, snapshots: Snapshots) -> None:
    """Write snapshots to a file. An existing file is replaced only once everything is written.

    Args:
        path: The file; its folder must exist.
        snapshots: The snapshots.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged.
    """
    buffer = io.BytesIO()
    torch.save(to_dict(snapshots), buffer)
    write_atomically(path, buffer.getvalue())


def read_snapshots(path: Path | str) -> Snapshots:
    """Read a file that :func:`write_snapshots` has written. No code from the file is executed.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing, damaged, or does not hold snapshots.
    """
    path = Path(path)
    require(path.is_file(), f"there is no file {path}; the callback SnapshotRecorder writes it during training")
    try:
        values = read_tensors(path)
    except UsageError as error:
        raise UsageError(f"{error}; move it away to continue without snapshots") from error
    try:
        return from_dict(values)
    except UsageError as error:
        raise UsageError(f"{path} cannot be used: {error}; move it away to continue without snapshots") from error


def _cpu_copy(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU with storage of its own, in at least single precision."""
    dtype = torch.promote_types(tensor.dtype, torch.float32) if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()


def _predictions(network: Network, batch: Batch) -> Tensor:
    batch = batch.expanded()
    outputs: Tensor = network(batch.inputs, batch.condition)[0]
    return outputs if network.spec.real_targets else outputs.softmax(-1)


def _samples(network: Network, length: int) -> tuple[str, ...]:
    vocabulary = network.spec.vocabulary
    if vocabulary is None or not isinstance(network, LanguageNetwork):
        return ()
    return (network.generate(vocabulary.prefix or vocabulary.characters[:1], length),)


def _gradient_by_time_step(network: Network, batch: Batch) -> Tensor | None:
    try:
        return gradient_by_time_step(network, affordable(network, batch)).float()[None]
    except UsageError:
        return None


def _rows(snapshots: Snapshots) -> dict[str, Tensor]:
    """Return all tensors with one row per snapshot, by name, for instance ``states`` or ``weights/readout.bias``."""
    rows: dict[str, Tensor] = {}
    for name in ROW_FIELDS:
        value = getattr(snapshots, name)
        if isinstance(value, dict):
            rows |= {f"{name}/{key}": tensor for key, tensor in value.items()}
        elif value is not None:
            rows[name] = value
    return rows


def _combined(
    parts: Sequence[Snapshots], combine: Callable[[list[Tensor]], Tensor], samples: tuple[str, ...]
) -> Snapshots:
    """Return snapshots whose tensors are combined from several parts.

    Args:
        parts: The parts, at least one, with the same names of tensors; shared fields are taken from the first part.
        combine: Function that combines the tensors of one name, one tensor from each part.
        samples: The text samples of the result.
    """
    fields: dict[str, Any] = {"samples": samples}
    for name in ROW_FIELDS:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], dict):
            fields[name] = {key: combine([value[key] for value in values]) for key in values[0]}
        elif values[0] is not None:
            fields[name] = combine(values)
    return replace(parts[0], **fields)


def _shapes(snapshots: Snapshots) -> dict[str, tuple[torch.dtype, torch.Size]]:
    """Return type and shape of one row of each tensor, by name."""
    return {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in _rows(snapshots).items()}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):  # steps that are not scored may be NaN
        return one.shape == other.shape and torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)
    return bool(one == other)


def _check(snapshots: Snapshots) -> None:
    """Raise unless all fields have the types, shapes and values that :class:`Snapshots` documents."""
    n, time, hidden = len(snapshots.steps), len(snapshots.inputs), snapshots.states.shape[-1]
    saturation, gradient = snapshots.saturation, snapshots.gradient_by_time_step
    real = torch.is_floating_point
    tensors_fit = (
        _fits(snapshots.steps, _is_int64, n)
        and (_fits(snapshots.inputs, _is_int64, time) or _fits(snapshots.inputs, real, time, None))
        and (_fits(snapshots.targets, _is_int64, time) or _fits(snapshots.targets, real, time, None))
        and _all_fit(snapshots.weights, real, n, ...)
        and _all_fit(snapshots.eigenvalues, torch.is_complex, n, None)
        and _all_fit(snapshots.gradient_norms, real, n, ...)
        and (gradient is None or _fits(gradient, real, n, time))
        and _fits(snapshots.states, real, n, time, hidden)
        and _fits(snapshots.predictions, real, n, time, None)
        and (saturation is None or _fits(saturation, real, n, hidden))
    )
    require(tensors_fit, "shapes or types of tensors are wrong")
    values_fit = (
        n >= 1
        and time >= 1
        and bool((snapshots.steps.diff() > 0).all())
        and (snapshots.condition is None or type(snapshots.condition) is int)
        and _are_strings(snapshots.alphabet)
        and (real(snapshots.inputs) or int(snapshots.inputs.min()) >= 0)
        and (not snapshots.alphabet or int(snapshots.inputs.max()) < len(snapshots.alphabet))
        and _are_strings(snapshots.samples)
        and len(snapshots.samples) in (0, n)
        and type(snapshots.thinning) is int
        and snapshots.thinning >= 1
    )
    require(values_fit, "values are wrong")


def _fits(value: Any, has_type: Callable[[Tensor], bool], *shape: int | EllipsisType | None) -> bool:
    """Return whether a value is a plain tensor on the CPU with the expected type and shape.

    Args:
        value: Any value.
        has_type: Function that returns whether a tensor has the expected type.
        shape: The size of each dimension, None for any size; a final ``...`` stands for any further dimensions.
    """
    if type(value) is not Tensor or value.device.type != "cpu" or value.layout != torch.strided:
        return False
    if not value.is_contiguous():  # an expanded tensor could claim a huge shape with a few stored numbers
        return False
    sizes = tuple(value.shape)
    if shape[-1] is ...:
        shape = shape[:-1]
        sizes = sizes[: len(shape)]
    same_rank = len(sizes) == len(shape)
    return (
        has_type(value)
        and same_rank
        and all(expected in (None, size) for expected, size in zip(shape, sizes, strict=True))
    )


def _all_fit(value: Any, has_type: Callable[[Tensor], bool], *shape: int | EllipsisType | None) -> bool:
    """Return whether a value is a dictionary with string keys and tensors that fit."""
    return isinstance(value, dict) and all(
        isinstance(name, str) and _fits(tensor, has_type, *shape) for name, tensor in value.items()
    )


def _is_int64(tensor: Tensor) -> bool:
    return tensor.dtype == torch.int64


def _are_strings(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(text, str) for text in value)
