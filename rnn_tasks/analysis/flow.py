"""What flows through a network in time: states forward, gradients backward."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parametrize

from rnn_tasks.cores import Core, State, map_state
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.spec import NOT_SCORED, Batch

Part = Literal["state", "hidden"]


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """The network without dropout and with each parametrized weight computed only once; afterwards as it was."""
    with evaluation_mode(network), parametrize.cached():
        yield


@contextmanager
def differentiating() -> Iterator[None]:
    """Gradients wherever this is called from, also from a hook of validation."""
    # cuDNN's recurrent layers have no backward pass in eval mode.
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


@torch.no_grad()
def encoded(network: Network, batch: Batch) -> Tensor:
    """What the layer reads at each step, ``(batch, time, features)``: the symbols, and the condition if it is told.

    Args:
        network: The network.
        batch: What it reads.

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
    """The outputs of the layer at each step, without dropout: what the readout sees.

    Args:
        network: The network.
        batch: What it reads.
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
    """The whole state of the layer after each step: all that it remembers of what it has read.

    Args:
        network: The network.
        batch: What it reads.
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


def gradient_by_lag(
    network: Network, batch: Batch, step: int = -1, part: Part = "state", state: State = None
) -> Tensor:
    """How far back the loss of one step can see: the length of ``dL_T/dh_{T-k}`` over the lag k.

    ``L_T`` is the loss of step T alone, so all of the gradient has come back through time, through
    ``dh_T/dh_{T-k}``: whether it vanishes or explodes on its way is the question of Bengio, Simard and Frasconi 1994
    and of Pascanu, Mikolov and Bengio 2013. Single precision knows nothing between 0 and 1e-45, ``network.double()``
    does.

    Args:
        network: The network.
        batch: The sequences. T may be another step in each.
        step: Which of a sequence's scored steps is T, as an index: 0 is the first, -1 the last.
        part: Of which h: the layer's whole ``state``, or the part of it that it puts out, its ``hidden`` state (of the
            last layer; without the cell of an LSTM, which is then held fixed).
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(lags + 1,)``, from k = 0 to the T of the sequence where it is latest; L2 norms, in nats per unit of h, each
        the mean over the sequences that reach back so far. Double precision, on the CPU.

    Raises:
        UsageError: A sequence without such a step, or a state that cannot be flattened.

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
    reached = times >= 0
    return norms.gather(1, times.clamp(min=0)).where(reached, 0).sum(0) / reached.sum(0)


def gradient_by_time_step(network: Network, batch: Batch, part: Part = "state", state: State = None) -> Tensor:
    """Where the gradient of the whole loss is: the length of ``dL/dh_t`` over t.

    ``h_t`` acts on the loss now, through the readout, and later, through all states that come after it.

    Args:
        network: The network.
        batch: The sequences. L is the mean loss over the scored steps of a sequence; 0 if it has none.
        part: Of which h, see :func:`gradient_by_lag`.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(time,)``, L2 norms, in nats per unit of h, each the mean over the sequences. Double precision, on the CPU.

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


def scored_step(scored: Tensor, step: int) -> Tensor:
    """When the scored step with this index is, in each sequence.

    Args:
        scored: ``(batch, time)`` bool.
        step: Index among the scored steps of a sequence; negative ones count from the end.

    Returns:
        ``(batch,)`` int64.

    Raises:
        UsageError: A sequence has no such step.

    Example:
        >>> scored_step(torch.tensor([[False, True, True], [True, False, False]]), -1)
        tensor([2, 0])
    """
    fewest = int(scored.sum(1).min())
    if not -fewest <= step < fewest:
        raise UsageError(f"step must be an index of the scored steps of every sequence, one has {fewest}; got {step}")
    return torch.stack([row.nonzero()[step, 0] for row in scored])


def flatten_state(state: State, batch_size: int) -> Tensor:
    """A layer's state as one row of numbers for each sequence.

    Args:
        state: Tensors ``(layers, batch, hidden)``, as torch's layers have them, or ``(batch, hidden)``, alone or in
            tuples, lists and dictionaries, nested as they like.
        batch_size: Number of sequences.

    Returns:
        ``(batch, state_size)``: tensor after tensor, in each of them layer after layer. For an LSTM: the hidden states
        of all layers, then their cells.

    Raises:
        UsageError: The state is made of something else.

    Example:
        >>> state = (torch.zeros(2, 3, 4), torch.ones(2, 3, 4))
        >>> flatten_state(state, batch_size=3).shape
        torch.Size([3, 16])
    """
    return torch.cat([_sequences_first(leaf).flatten(1) for leaf in _leaves(state, batch_size)], 1)


def unflatten_state(flat: Tensor, like: State) -> State:
    """The state of which :func:`flatten_state` made these rows.

    Args:
        flat: ``(batch, state_size)``.
        like: A state of the same layer, of any number of sequences.

    Example:
        >>> state = (torch.zeros(2, 3, 4), torch.ones(2, 3, 4))
        >>> hidden, cell = unflatten_state(flatten_state(state, batch_size=3), state)
        >>> torch.equal(hidden, state[0]), torch.equal(cell, state[1])
        (True, True)
    """
    taken = 0

    def leaf(other: Tensor) -> Tensor:
        nonlocal taken
        start, taken = taken, taken + _sequences_first(other)[0].numel()
        rows = flat[:, start:taken].to(other.dtype)
        if other.ndim == 3:
            layers, _, hidden_size = other.shape
            rows = rows.reshape(len(rows), layers, hidden_size).movedim(1, 0)
        return rows.contiguous()  # cuDNN takes no other

    return map_state(like, leaf)


def _sequences_first(leaf: Tensor) -> Tensor:
    return leaf.movedim(1, 0) if leaf.ndim == 3 else leaf


def _leaves(state: State, batch_size: int) -> list[Tensor]:
    """The tensors of a state, in the order of :func:`rnn_tasks.cores.map_state`."""
    if isinstance(state, (tuple, list, dict)) and state:
        parts = state.values() if isinstance(state, dict) else state
        return [leaf for part in parts for leaf in _leaves(part, batch_size)]
    found = type(state).__name__
    if isinstance(state, Tensor):
        if state.is_floating_point() and state.shape[:-1][-1:] == (batch_size,) and state.ndim in (2, 3):
            return [state]
        found = f"{state.dtype} {tuple(state.shape)}"
    raise UsageError(
        f"this layer's state cannot be flattened: a part of it is {found}; it must be made of tensors of shape "
        f"(layers, {batch_size}, hidden) or ({batch_size}, hidden), in tuples, lists and dictionaries"
    )


def _steps(core: Core, inputs: Tensor, state: State) -> Iterator[tuple[Tensor, State]]:
    """Output ``(batch, hidden_size)`` and state after each step."""
    for now in inputs.unbind(1):
        output, state = core(now[:, None], state)
        yield output[:, 0], state


def _trajectory(core: Core, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
    """States ``(batch, time, state_size)``, outputs ``(batch, time, hidden_size)``, and the last state as it is."""
    flats, outputs = [], []
    for output, after in _steps(core, inputs, state):
        flats.append(flatten_state(after, len(inputs)))
        outputs.append(output)
        state = after
    return torch.stack(flats, 1), torch.stack(outputs, 1), state


def _output_columns(flats: Tensor, outputs: Tensor, like: State) -> slice | None:
    """Where in the flat state the output is: at the end of its first tensor, as in torch's layers, or nowhere: None."""
    end = _sequences_first(_leaves(like, len(flats))[0])[0].numel()
    columns = slice(end - outputs.shape[-1], end)
    there = columns.start >= 0 and torch.equal(flats[..., columns], outputs.to(flats))
    return columns if there else None


def _gradient_norms(network: Network, batch: Batch, weights: Tensor, part: Part, state: State) -> Tensor:
    """Norms ``(batch, time)`` of the gradient of each sequence's weighted sum of losses, by its states.

    Every state is a variable of its own: to each a zero is added, and the gradient by that zero is the gradient by the
    state. Where the layer's output is no part of its state, both together are what a step leaves behind.

    Args:
        network: The network.
        batch: The sequences.
        weights: Of each step's loss, ``(batch, time)``.
        part: See :func:`gradient_by_lag`.
        state: The state before the first step.
    """
    if part not in ("state", "hidden"):
        raise UsageError(f"part must be 'state' or 'hidden', got {part!r}")
    with evaluating(network), differentiating():
        inputs = encoded(network, batch)
        before = map_state(state, torch.clone)  # autograd cannot keep what was made in inference mode
        with torch.no_grad():
            flats, outputs, like = _trajectory(network.core, inputs, before)
        columns = _output_columns(flats, outputs, like)
        size = flats.shape[-1]
        if columns is None and part == "hidden":
            raise UsageError("this layer's output is no part of its state: ask for part='state'")
        zeros, hidden = [], []
        for now in inputs.unbind(1):
            output, after = network.core(now[:, None], before)
            left = flatten_state(after, len(inputs))
            left = left if columns is not None else torch.cat([left, output[:, 0]], 1)
            zeros.append(torch.zeros_like(left, requires_grad=True))
            left = left + zeros[-1]
            hidden.append(left[:, columns or slice(size, None)].to(output.dtype))
            before = unflatten_state(left[:, :size], after)
        losses = _losses(network, torch.stack(hidden, 1), batch)
        gradients = torch.autograd.grad((losses * weights.to(losses, copy=True)).sum(), zeros, materialize_grads=True)
    chosen = torch.stack(gradients, 1)[..., columns if part == "hidden" else slice(None)]
    # Squares of a single-precision number below 1e-23 are 0.
    norms: Tensor = torch.linalg.vector_norm(chosen.cpu().double(), dim=-1)
    return norms


def _losses(network: Network, hidden: Tensor, batch: Batch) -> Tensor:
    """The loss of each step, ``(batch, time)`` in nats, 0 where it is not scored."""
    targets = batch.targets.to(network.device, copy=True)
    condition = None if batch.condition is None else batch.condition.to(network.device, copy=True)
    logits = network.read_out(hidden, condition)
    flat = logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32))
    losses: Tensor = functional.cross_entropy(flat, targets.flatten(), ignore_index=NOT_SCORED, reduction="none")
    return losses.view_as(targets)
