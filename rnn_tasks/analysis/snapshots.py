"""Snapshots of a network while it learns: taken, put together, written into one file and read again."""

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
from rnn_tasks.analysis.flow import evaluating, gradient_by_time_step, hidden_states
from rnn_tasks.cores import Core, Elman, Foreign
from rnn_tasks.errors import UsageError, require
from rnn_tasks.networks import LanguageNetwork, Network
from rnn_tasks.runs.checkpoints import read_tensors
from rnn_tasks.runs.files import write_atomically
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.spec.vocabulary import UNKNOWN

SNAPSHOTS = "snapshots.pt"
"""The file's name in a run folder."""

FORMAT = "rnn_tasks.snapshots/1"


@dataclass(frozen=True)
class Snapshots:
    """n moments of a training, each seen on the same sequence. All tensors are on the CPU.

    Attributes:
        steps: Optimizer steps before each moment, rising, ``(n,)`` int64.
        inputs: The symbols that the network read, ``(time,)`` int64.
        targets: What it should have answered, ``(time,)`` int64, ``NOT_SCORED`` where that does not matter.
        condition: What it was told about the sequence, or None.
        alphabet: How the symbols are shown; empty if the task does not say.
        weights: All weights by the names of ``network.named_parameters()``, ``(n, ...)`` each; one that is computed
            from other parameters is the weight that the layer used, under the name that it has there.
        eigenvalues: Of each recurrent matrix, by its name in ``core.recurrent_weights()``, ``(n, hidden_size)``
            complex, those with the largest absolute value first; none where the layer names no matrix.
        gradient_norms: L2 norm of each parameter's gradient before clipping, in the step that led to this moment,
            ``(n,)``; NaN where there was none, as before the first step.
        gradient_by_time_step: Length of ``dL/dh_t`` over t, ``(n, time)``; None where the layer's state cannot be
            flattened. See :func:`rnn_tasks.analysis.gradient_by_time_step`.
        states: Hidden states along the sequence, ``(n, time, hidden_size)``.
        predictions: Probabilities of the output symbols along the sequence, ``(n, time, output_size)``.
        saturation: Share of each unit's hidden states near their bounds, over several sequences,
            ``(n, hidden_size)``; None where the layer has no bounds.
        samples: What a language model wrote at each moment; empty for other models.
        thinning: Only every so many moments of those that were asked for have been kept.
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
        """Bytes of all numbers."""
        return sum(tensor.nbytes for tensor in _rows(self).values())


ONE_FOR_ALL = ("inputs", "targets", "condition", "alphabet")
"""Fields that all moments of a training share."""

PER_MOMENT = (
    "steps",
    "weights",
    "eigenvalues",
    "gradient_norms",
    "gradient_by_time_step",
    "states",
    "predictions",
    "saturation",
)
"""Fields with a row for each moment: a tensor, a dictionary of tensors, or None."""


def take_snapshot(
    network: Network,
    batch: Batch,
    step: int,
    gradient_norms: Mapping[str, Tensor] | None = None,
    sample_length: int = 60,
    threshold: float = 0.95,
) -> Snapshots:
    """One moment of a training. Like all of ``analysis`` it leaves gradients alone; it draws no global random number.

    Args:
        network: The network.
        batch: What it reads: of the first sequence all is kept, of all of them their mean saturation.
        step: Optimizer steps so far.
        gradient_norms: Norm of each parameter's gradient; None where there was none.
        sample_length: Characters that a language model adds to its task's prefix, ``>= 0``.
        threshold: See :func:`rnn_tasks.analysis.saturation`.

    Returns:
        Snapshots with n = 1.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> taken = take_snapshot(network, task.train_batch(0), step=0)
        >>> taken.states.shape, taken.weights["core.weight_hh_l0"].shape
        (torch.Size([1, 7, 8]), torch.Size([1, 24, 8]))
    """
    first = batch.rows(0, 1)
    norms = {name: torch.tensor([torch.nan]) for name, weight in network.named_parameters() if weight.requires_grad}
    norms |= {name: _kept(norm)[None] for name, norm in (gradient_norms or {}).items()}
    gradient = _gradient_by_time_step(network, first)
    with torch.no_grad(), evaluating(network):
        states = hidden_states(network, batch)
        return Snapshots(
            steps=torch.tensor([step]),
            inputs=_kept(first.inputs[0]),
            targets=_kept(first.targets[0]),
            condition=None if first.condition is None else int(first.condition[0]),
            alphabet=alphabet(network.spec),
            weights={name: _kept(weight)[None] for name, weight in effective_weights(network).items()},
            eigenvalues={name: values.to(torch.complex64)[None] for name, values in eigenvalues(network).items()},
            gradient_norms=norms,
            gradient_by_time_step=gradient,
            states=_kept(states[:1]),
            predictions=_kept(_logits(network, first).softmax(-1)),
            saturation=_kept(saturation(states, threshold))[None] if has_bounds(network.core) else None,
            samples=_samples(network, sample_length),
        )


def effective_weights(network: nn.Module) -> dict[str, Tensor]:
    """All weights as the network uses them, by name: those that are computed from others instead of these others.

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
    """Whether the states of a layer cannot leave -1..1, so that they can be near the end; True if it is not known.

    Example:
        >>> has_bounds(Elman(3, 4)), has_bounds(Elman(3, 4, activation="relu"))
        (True, False)
    """
    layer = core.layer if isinstance(core, Foreign) else core
    if isinstance(layer, Elman):
        return layer.activation in ("tanh", "sigmoid")
    return not isinstance(layer, nn.RNN) or layer.nonlinearity == "tanh"


def alphabet(spec: TaskSpec) -> tuple[str, ...]:
    """How a task shows its symbols; empty if it does not say."""
    if spec.vocabulary is not None:
        return (UNKNOWN, *spec.vocabulary.characters)
    return () if spec.codec is None else tuple(spec.codec.symbols)


def joined(parts: Sequence[Snapshots]) -> Snapshots:
    """Snapshots of the same training, one after another.

    Args:
        parts: At least one, in the order of their steps.

    Raises:
        UsageError: They are of different networks or sequences, or their steps do not rise.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for other in parts[1:]:
        fits = _shapes(other) == _shapes(first) and all(
            _equal(getattr(other, name), getattr(first, name)) for name in ONE_FOR_ALL
        )
        require(fits, "these snapshots are of different networks, or of different sequences")
    result = _combined(parts, torch.cat, sum((part.samples for part in parts), ()))
    require(bool((result.steps.diff() > 0).all()), "the steps of snapshots must rise")
    return result


def selected(snapshots: Snapshots, kept: Tensor) -> Snapshots:
    """Some of the moments.

    Args:
        snapshots: All of them.
        kept: ``(n,)`` bool.
    """
    samples = tuple(text for text, keep in zip(snapshots.samples, kept.tolist(), strict=False) if keep)
    return _combined([snapshots], lambda tensors: tensors[0][kept], samples)


def to_values(snapshots: Snapshots) -> dict[str, Any]:
    """Tensors and plain values, from which :func:`from_values` makes equal snapshots."""
    return {"format": FORMAT, **vars(snapshots)}


def from_values(values: Any) -> Snapshots:
    """The snapshots whose :func:`to_values` gave this.

    Raises:
        UsageError: It is something else.
    """
    require(isinstance(values, dict) and values.get("format") == FORMAT, "these are no snapshots of this version")
    try:
        values = {name: value for name, value in values.items() if name != "format"}
        snapshots = Snapshots(**values)
        _check(snapshots)
    except (TypeError, AttributeError, IndexError, ValueError) as error:  # UsageError is a ValueError
        raise UsageError("these snapshots are incomplete, or do not belong together") from error
    return snapshots


def write_snapshots(path: Path, snapshots: Snapshots) -> None:
    """Write all into one file; what was there before stays until all is written.

    Args:
        path: The file; its folder must exist.
        snapshots: What to write.

    Raises:
        OSError: It cannot be written; nothing has changed.
    """
    buffer = io.BytesIO()
    torch.save(to_values(snapshots), buffer)
    write_atomically(path, buffer.getvalue())


def read_snapshots(path: Path | str) -> Snapshots:
    """Read a file that :func:`write_snapshots` has written; nothing in it is executed.

    Args:
        path: The file.

    Raises:
        UsageError: It is missing, damaged, or holds something else.
    """
    path = Path(path)
    require(path.is_file(), f"there is no file of snapshots {path}; the callback SnapshotRecorder writes it")
    try:
        values = read_tensors(path)
    except UsageError as error:
        raise UsageError(f"{error}; move it away to do without") from error
    try:
        return from_values(values)
    except UsageError as error:
        raise UsageError(f"{path} cannot be used: {error}; move it away to do without") from error


def _kept(tensor: Tensor) -> Tensor:
    """A copy on the CPU that shares no storage, in at least single precision."""
    dtype = torch.promote_types(tensor.dtype, torch.float32) if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()


def _logits(network: Network, batch: Batch) -> Tensor:
    batch = batch.expanded()
    logits: Tensor = network(batch.inputs, batch.condition)[0]
    return logits


def _samples(network: Network, length: int) -> tuple[str, ...]:
    vocabulary = network.spec.vocabulary
    if vocabulary is None or not isinstance(network, LanguageNetwork):
        return ()
    return (network.generate(vocabulary.prefix or vocabulary.characters[:1], length),)


def _gradient_by_time_step(network: Network, batch: Batch) -> Tensor | None:
    try:
        return gradient_by_time_step(network, batch).float()[None]
    except UsageError:
        return None


def _rows(snapshots: Snapshots) -> dict[str, Tensor]:
    """Return all tensors with a row for each moment by name, for instance ``states`` or ``weights/readout.bias``."""
    rows: dict[str, Tensor] = {}
    for name in PER_MOMENT:
        value = getattr(snapshots, name)
        if isinstance(value, dict):
            rows |= {f"{name}/{key}": tensor for key, tensor in value.items()}
        elif value is not None:
            rows[name] = value
    return rows


def _combined(
    parts: Sequence[Snapshots], combine: Callable[[list[Tensor]], Tensor], samples: tuple[str, ...]
) -> Snapshots:
    """Return snapshots whose tensors are computed from those of several parts.

    Args:
        parts: At least one, with the same names of tensors; what all moments share is taken from the first.
        combine: Computes a tensor from the list of the parts' tensors of one name.
        samples: The texts of all moments.
    """
    fields: dict[str, Any] = {"samples": samples}
    for name in PER_MOMENT:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], dict):
            fields[name] = {key: combine([value[key] for value in values]) for key in values[0]}
        elif values[0] is not None:
            fields[name] = combine(values)
    return replace(parts[0], **fields)


def _shapes(snapshots: Snapshots) -> dict[str, tuple[torch.dtype, torch.Size]]:
    """Return type and shape of one moment's row by name."""
    return {name: (tensor.dtype, tensor.shape[1:]) for name, tensor in _rows(snapshots).items()}


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else bool(one == other)


def _check(snapshots: Snapshots) -> None:
    """Raise unless all of a file's contents have the types, shapes and values that the class promises."""
    n, time, hidden = len(snapshots.steps), len(snapshots.inputs), snapshots.states.shape[-1]
    saturation, gradient = snapshots.saturation, snapshots.gradient_by_time_step
    real = torch.is_floating_point
    tensors_fit = (
        _fits(snapshots.steps, _is_whole, n)
        and _fits(snapshots.inputs, _is_whole, time)
        and _fits(snapshots.targets, _is_whole, time)
        and _all_fit(snapshots.weights, real, n, ...)
        and _all_fit(snapshots.eigenvalues, torch.is_complex, n, hidden)
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
        and _are_texts(snapshots.alphabet)
        and int(snapshots.inputs.min()) >= 0
        and (not snapshots.alphabet or int(snapshots.inputs.max()) < len(snapshots.alphabet))
        and _are_texts(snapshots.samples)
        and len(snapshots.samples) in (0, n)
        and type(snapshots.thinning) is int
        and snapshots.thinning >= 1
    )
    require(values_fit, "values are wrong")


def _fits(value: Any, kind: Callable[[Tensor], bool], *shape: int | EllipsisType | None) -> bool:
    """Return whether a value is a plain tensor on the CPU, of a type and a shape.

    Args:
        value: Anything.
        kind: Tells tensors of the right type.
        shape: The size of each dimension, None for any size; a last ``...`` stands for further dimensions.
    """
    if type(value) is not Tensor or value.device.type != "cpu" or value.layout != torch.strided:
        return False
    if not value.is_contiguous():  # a few stored numbers could be spread over a large shape
        return False
    sizes = tuple(value.shape)
    if shape[-1] is ...:
        shape = shape[:-1]
        sizes = sizes[: len(shape)]
    same_rank = len(sizes) == len(shape)
    return kind(value) and same_rank and all(wanted in (None, size) for wanted, size in zip(shape, sizes, strict=True))


def _all_fit(value: Any, kind: Callable[[Tensor], bool], *shape: int | EllipsisType | None) -> bool:
    """Return whether a value is a dictionary with texts as keys and tensors that fit."""
    return isinstance(value, dict) and all(
        isinstance(name, str) and _fits(tensor, kind, *shape) for name, tensor in value.items()
    )


def _is_whole(tensor: Tensor) -> bool:
    return tensor.dtype == torch.int64


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(text, str) for text in value)
