"""The states of a network over time, and the gradients with respect to these states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parametrize

from rnn_tasks.cores import Core, State, map_state
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError, require
from rnn_tasks.networks import Network
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec

Part = Literal["state", "hidden"]

MAX_NUMBERS = 10_000_000
"""Gradients by this number of state values, over all steps and sequences, need less than about a gigabyte."""


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Put the network into evaluation mode, and compute each parametrized weight only once; restore both on exit."""
    with evaluation_mode(network), parametrize.cached():
        yield


@contextmanager
def differentiating() -> Iterator[None]:
    """Enable gradients, also inside ``torch.no_grad`` and ``torch.inference_mode``."""
    # cuDNN's recurrent layers have no backward pass in evaluation mode.
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


@torch.no_grad()
def encoded(network: Network, batch: Batch) -> Tensor:
    """Return the layer's input at each step, ``(batch, time, features)``: encoded input and, if used, condition.

    Args:
        network: The network.
        batch: The sequences that the network reads.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import VariableDelayEcho
        >>> task = VariableDelayEcho(max_delay=3, alphabet_size=5, batch_size=2)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> encoded(network, task.train_batch(0)).shape  # 6 symbols, 4 delays
        torch.Size([2, 20, 10])
    """
    batch = batch.expanded().to(network.device)
    return network.encode(batch.inputs, batch.condition)


@torch.no_grad()
def hidden_states(network: Network, batch: Batch, state: State = None) -> Tensor:
    """Return the layer's outputs at each step, without dropout: the inputs of the readout.

    Args:
        network: The network.
        batch: The sequences that the network reads.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(batch, time, hidden_size)``.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> hidden_states(network, task.train_batch(0)).shape
        torch.Size([3, 7, 8])
    """
    with evaluating(network):
        outputs: Tensor = network.core(encoded(network, batch), state)[0]
    return outputs


@torch.no_grad()
def state_trajectory(network: Network, batch: Batch, state: State = None) -> Tensor:
    """Return the whole state of the layer after each step: everything that it can remember of the sequence.

    Args:
        network: The network.
        batch: The sequences that the network reads.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(batch, time, state_size)``, in the order of :func:`flatten_state`.

    Raises:
        UsageError: The state cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import LSTM
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(LSTM, hidden_size=8), task.spec)
        >>> state_trajectory(network, task.train_batch(0)).shape  # hidden state and cell
        torch.Size([3, 7, 16])
    """
    with evaluating(network):
        return _trajectory(network.core, encoded(network, batch), state)[0]


def flat_size(network: Network, batch: Batch) -> int:
    """Return the number of numbers in the layer's state, the ``state_size`` of :func:`state_trajectory`.

    Args:
        network: The network.
        batch: Sequences, of which one step is read.

    Raises:
        UsageError: The state cannot be flattened.
    """
    one = batch.rows(0, 1)
    first_step = Batch(one.inputs[:, :1], one.targets[:, :1], condition=one.condition)
    return state_trajectory(network, first_step).shape[-1]


def output_is_state(network: Network, batch: Batch) -> bool:
    """Return whether the layer's output is a part of its state, as in torch's layers.

    Args:
        network: The network.
        batch: Sequences, of which the first steps of the first are read.

    Raises:
        UsageError: The state cannot be flattened.
    """
    with torch.no_grad(), evaluating(network):
        inputs = encoded(network, batch.rows(0, 1))[:, :3]
        return _output_columns(*_trajectory(network.core, inputs, None)) is not None


def affordable(network: Network, batch: Batch, max_numbers: int = MAX_NUMBERS) -> Batch:
    """Return as many of the first sequences as gradients by all states need less than about a gigabyte for.

    Args:
        network: The network.
        batch: The sequences.
        max_numbers: The largest number of state values, over all steps and sequences.

    Raises:
        UsageError: The state cannot be flattened, or a single sequence has more state values.
    """
    size, time = flat_size(network, batch), batch.targets.shape[1]
    count = max_numbers // (size * time)
    require(count > 0, f"the state has {size:,} numbers, too many for gradients over {time:,} steps")
    return batch if count >= batch.num_sequences else batch.rows(0, count)


def gradient_by_lag(
    network: Network, batch: Batch, step: int = -1, part: Part = "state", state: State = None
) -> Tensor:
    """Return the norm of the gradient ``dL_T/dh_{T-k}`` for each lag k.

    ``L_T`` is the loss of step T alone, so the gradient flows back only through time, by ``dh_T/dh_{T-k}``. The norms
    show whether it vanishes or explodes (Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013). In single
    precision, gradients below 1e-45 become 0; use ``network.double()`` for smaller ones.

    Args:
        network: The network.
        batch: The sequences, with symbols or real values as targets. T may differ between sequences.
        step: T as an index into the scored steps of each sequence: 0 is the first, -1 the last.
        part: h is the layer's whole ``state``, or only its output, the ``hidden`` state of the last layer. For an LSTM,
            ``hidden`` is without the cell, which is then held constant.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(lags + 1,)``, from k = 0 to the largest T: L2 norms, in nats (for real targets, squared error) per unit of h,
        each the mean over the sequences with T >= k. Double precision, on the CPU.

    Raises:
        UsageError: A sequence without this scored step, or a state that cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import Elman
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> core = partial(Elman, hidden_size=8, activation="identity", orthogonal_map="matrix_exp")
        >>> norms = gradient_by_lag(TaggerNetwork(core, task.spec), task.train_batch(0))
        >>> norms.shape, bool((norms / norms[0] - 1).abs().max() < 1e-5)  # it neither vanishes nor explodes
        (torch.Size([7]), True)
    """
    last = scored_step(batch.scored.cpu(), step)
    weights = functional.one_hot(last, batch.targets.shape[1])
    norms = _gradient_norms(network, batch, weights, part, state)
    times = last[:, None] - torch.arange(int(last.max()) + 1)
    in_sequence = times >= 0
    return norms.gather(1, times.clamp(min=0)).where(in_sequence, 0).sum(0) / in_sequence.sum(0)


def gradient_by_time_step(network: Network, batch: Batch, part: Part = "state", state: State = None) -> Tensor:
    """Return the norm of the gradient ``dL/dh_t`` of the whole loss for each time step t.

    ``h_t`` changes the loss of step t through the readout, and the losses of later steps through the later states.

    Args:
        network: The network.
        batch: The sequences. L is the mean loss over the scored steps of a sequence, 0 without scored steps.
        part: The part of the state that h is, see :func:`gradient_by_lag`.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(time,)``: L2 norms, in nats (for real targets, squared error) per unit of h, each the mean over the
        sequences. Double precision, on the CPU.

    Raises:
        UsageError: A state that cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Copy
        >>> task = Copy("recall", num_symbols=3, delay=4, batch_size=2)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> gradient_by_time_step(network, task.train_batch(0)).ndim
        1
    """
    scored = batch.scored.cpu().double()
    return _gradient_norms(network, batch, scored / scored.sum(1, keepdim=True).clamp(min=1), part, state).mean(0)


def loss_unit(spec: TaskSpec) -> str:
    """Return the unit of the loss of one step: ``nats``, or ``squared error`` for real targets."""
    return "squared error" if spec.real_targets else "nats"


def scored_step(scored: Tensor, step: int) -> Tensor:
    """Return the time step of the scored step with this index, for each sequence.

    Args:
        scored: ``(batch, time)`` bool.
        step: Index into the scored steps of a sequence; a negative index counts from the end.

    Returns:
        ``(batch,)`` int64.

    Raises:
        UsageError: A sequence has no scored step with this index.

    Example:
        >>> scored_step(torch.tensor([[False, True, True], [True, False, False]]), -1)
        tensor([2, 0])
    """
    fewest = int(scored.sum(1).min())
    if not -fewest <= step < fewest:
        raise UsageError(f"step must index the scored steps of every sequence, and one has only {fewest}, got {step}")
    return torch.stack([row.nonzero()[step, 0] for row in scored])


def flatten_state(state: State, batch_size: int) -> Tensor:
    """Return a layer's state as one row of numbers for each sequence.

    Args:
        state: A tensor ``(layers, batch, features)``, as in torch's layers; with any other number of dimensions
            ``(batch, ...)``, such as the matrices ``(batch, heads, rows, columns)``; or tuples, lists and dictionaries
            of such tensors, nested to any depth.
        batch_size: Number of sequences.

    Returns:
        ``(batch, state_size)``: the tensors one after another, and in each tensor the layers one after another. For an
        LSTM: the hidden states of all layers, then the cells of all layers.

    Raises:
        UsageError: The state contains anything else.

    Example:
        >>> state = (torch.zeros(2, 3, 4), torch.ones(2, 3, 4))
        >>> flatten_state(state, batch_size=3).shape
        torch.Size([3, 16])
    """
    # The added dimension lets a tensor (batch,) be flattened, too.
    return torch.cat([_sequences_first(leaf)[..., None].flatten(1) for leaf in _leaves(state, batch_size)], 1)


def unflatten_state(flat: Tensor, like: State) -> State:
    """Return the state that :func:`flatten_state` turned into these rows.

    Args:
        flat: ``(batch, state_size)``.
        like: A state of the same layer, for any number of sequences.

    Example:
        >>> state = (torch.zeros(2, 3, 4), torch.ones(2, 3, 4))
        >>> hidden, cell = unflatten_state(flatten_state(state, batch_size=3), state)
        >>> torch.equal(hidden, state[0]), torch.equal(cell, state[1])
        (True, True)
    """
    end = 0

    def leaf(template: Tensor) -> Tensor:
        nonlocal end
        start, end = end, end + _sequences_first(template)[0].numel()
        rows = flat[:, start:end].to(template.dtype)
        rows = rows.reshape(len(rows), *_sequences_first(template).shape[1:])
        return _sequences_first(rows).contiguous()  # cuDNN requires contiguous states

    return map_state(like, leaf)


def _sequences_first(leaf: Tensor) -> Tensor:
    """Return ``(layers, batch, features)`` as ``(batch, layers, features)`` or back; other tensors as they are."""
    return leaf.movedim(1, 0) if leaf.ndim == 3 else leaf


def _leaves(state: State, batch_size: int) -> list[Tensor]:
    """Return the tensors of a state, in the order of :func:`rnn_tasks.cores.map_state`."""
    if isinstance(state, (tuple, list, dict)) and state:
        parts = state.values() if isinstance(state, dict) else state
        return [leaf for part in parts for leaf in _leaves(part, batch_size)]
    description = type(state).__name__
    if isinstance(state, Tensor):
        batch_dimension = 1 if state.ndim == 3 else 0
        if state.is_floating_point() and state.ndim and state.shape[batch_dimension] == batch_size:
            return [state]
        description = f"{state.dtype} {tuple(state.shape)}"
    raise UsageError(
        f"this layer's state cannot be flattened: it contains {description}; a state must consist of float tensors of "
        f"shape (layers, {batch_size}, features), or ({batch_size}, ...) if they do not have three dimensions, in "
        "tuples, lists and dictionaries"
    )


def _steps(core: Core, inputs: Tensor, state: State) -> Iterator[tuple[Tensor, State]]:
    """Yield the output ``(batch, hidden_size)`` and the state after each step."""
    for step_inputs in inputs.unbind(1):
        output, state = core(step_inputs[:, None], state)
        yield output[:, 0], state


def _trajectory(core: Core, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
    """Return states ``(batch, time, state_size)``, outputs ``(batch, time, hidden_size)`` and the unflattened state."""
    flats, outputs = [], []
    for output, after in _steps(core, inputs, state):
        flats.append(flatten_state(after, len(inputs)))
        outputs.append(output)
        state = after
    return torch.stack(flats, 1), torch.stack(outputs, 1), state


def _output_columns(flats: Tensor, outputs: Tensor, like: State) -> slice | None:
    """Return the columns of the flat state that are the output, at the end of the first tensor; None if not there."""
    end = _sequences_first(_leaves(like, len(flats))[0])[0].numel()
    columns = slice(end - outputs.shape[-1], end)
    is_output = columns.start >= 0 and torch.equal(flats[..., columns], outputs.to(flats))
    return columns if is_output else None


def _gradient_norms(network: Network, batch: Batch, weights: Tensor, part: Part, state: State) -> Tensor:
    """Return the norms ``(batch, time)`` of the gradients of each sequence's weighted loss by its states.

    A zero is added to each state; the gradient with respect to this zero is the gradient with respect to the state. If
    the layer's output is not part of its state, the output is appended to the state.

    Args:
        network: The network.
        batch: The sequences.
        weights: The weight of each step's loss, ``(batch, time)``.
        part: See :func:`gradient_by_lag`.
        state: The state before the first step.
    """
    if part not in ("state", "hidden"):
        raise UsageError(f"part must be 'state' or 'hidden', got {part!r}")
    with evaluating(network), differentiating():
        inputs = encoded(network, batch)
        before = map_state(state, torch.clone)  # autograd cannot use tensors that were created in inference mode
        with torch.no_grad():
            flats, outputs, like = _trajectory(network.core, inputs, before)
        columns = _output_columns(flats, outputs, like)
        size = flats.shape[-1]
        if columns is None and part == "hidden":
            raise UsageError("this layer's output is not part of its state: use part='state'")
        zeros, hidden = [], []
        for step_inputs in inputs.unbind(1):
            output, after = network.core(step_inputs[:, None], before)
            flat = flatten_state(after, len(inputs))
            flat = flat if columns is not None else torch.cat([flat, output[:, 0]], 1)
            zeros.append(torch.zeros_like(flat, requires_grad=True))
            flat = flat + zeros[-1]
            hidden.append(flat[:, columns or slice(size, None)].to(output.dtype))
            before = unflatten_state(flat[:, :size], after)
        losses = _losses(network, torch.stack(hidden, 1), batch)
        gradients = torch.autograd.grad((losses * weights.to(losses, copy=True)).sum(), zeros, materialize_grads=True)
    selected = torch.stack(gradients, 1)[..., columns if part == "hidden" else slice(None)]
    # In single precision, the square of a number below 1e-23 is 0.
    norms: Tensor = torch.linalg.vector_norm(selected.cpu().double(), dim=-1)
    return norms


def _losses(network: Network, hidden: Tensor, batch: Batch) -> Tensor:
    """Return the loss of each step, ``(batch, time)``, 0 for steps that are not scored.

    The loss is the cross-entropy in nats, or for real targets the squared error as a mean over the values of a step.
    """
    targets = batch.targets.to(network.device, copy=True)
    condition = None if batch.condition is None else batch.condition.to(network.device, copy=True)
    outputs = network.read_out(hidden, condition)
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    if targets.is_floating_point():
        errors = (outputs - targets.nan_to_num()).square().mean(-1)
        return errors * batch.scored.to(errors)
    flat = outputs.flatten(0, 1)
    losses: Tensor = functional.cross_entropy(flat, targets.flatten(), ignore_index=NOT_SCORED, reduction="none")
    return losses.view_as(targets)
