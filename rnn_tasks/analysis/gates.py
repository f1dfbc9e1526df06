"""The gates of a gated layer along sequences."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.analysis.flow import encoded, flatten_state, hidden_states, state_trajectory
from rnn_tasks.cores import (
    Core,
    DeltaNet,
    Foreign,
    MinGRU,
    MinLSTM,
    ResetOnlyGRU,
    ScratchGRU,
    ScratchLSTM,
    StackRNN,
    State,
    Unrolled,
    UpdateOnlyGRU,
)
from rnn_tasks.cores.window import last_inputs
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch

CANDIDATES = ("new", "cell")
"""Names of the candidate values, which the gates scale; they are not gates themselves."""

SUPPORTED = (
    "GRU, LSTM, ScratchGRU, ResetOnlyGRU, UpdateOnlyGRU, ScratchLSTM, MinGRU, MinLSTM, StackRNN, and DeltaNet with beta"
)
"""The layers whose gates :func:`gate_activity` knows."""

ROWS = {"push": "stack", "pop": "stack", "keep": "stack", "beta": "head"}
"""What has a value of its own, for the gates that are not those of a unit."""

MEANING = {
    "update": "1 keeps the state",
    "reset": "0 hides the old state",
    "input": "1 lets the input in",
    "forget": "1 keeps the cell",
    "output": "1 shows the cell",
    "push": "1 puts a new value on top",
    "pop": "1 removes the top",
    "keep": "1 leaves the stack as it is",
    "beta": "1 replaces what is stored under the key",
}
"""What the values of each gate mean."""


@torch.no_grad()
def gate_activity(network: Network, batch: Batch, state: State = None) -> dict[str, Tensor]:
    """Return the gates of a gated layer at each step of the sequences.

    Supported are torch's GRU and LSTM, also as a :class:`~rnn_tasks.cores.Foreign` layer, and this package's
    ScratchGRU, ResetOnlyGRU, UpdateOnlyGRU, ScratchLSTM, MinGRU, MinLSTM, StackRNN and DeltaNet. The gates of the first
    six follow torch's convention:

    - ``update``, z: ``h_t = (1 - z) * new + z * h_{t-1}``, so 1 keeps the state and 0 replaces it (Cho et al. 2014;
      some authors swap the two)
    - ``reset``, r: 0 hides the old state from ``new``
    - ``input``, ``forget``, ``output`` of an LSTM: ``m_t = forget * m_{t-1} + input * cell`` and
      ``h_t = output * tanh(m_t)``, so a ``forget`` of 1 keeps the cell m
    - ``new`` and ``cell`` are not gates but the candidate values that the gates scale, from -1 to 1

    Further gates:

    - MinGRU has ``update``, as above; MinLSTM has ``forget``, ``f / (f + i)``, and ``input``, ``i / (f + i)``
    - StackRNN has ``push``, ``pop`` and ``keep``, whose sum is 1, ``(batch, time, num_stacks)``
    - DeltaNet has ``beta``, from 0 to ``max_beta``, ``(batch, time, heads)``, or with several products
      ``(batch, time, products * heads)``

    Args:
        network: The network.
        batch: The sequences that the network reads.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(batch, time, hidden_size)`` for each gate, unless noted otherwise above, by name: ``layer0/reset``,
        ``layer0/update``, ...; an empty dictionary for other layers.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> task = Echo(delay=2, sequence_length=7, batch_size=3)
        >>> network = TaggerNetwork(partial(GRU, hidden_size=8), task.spec)
        >>> {name: values.shape[1:] for name, values in gate_activity(network, task.train_batch(0)).items()}
        {'layer0/reset': torch.Size([7, 8]), 'layer0/update': torch.Size([7, 8]), 'layer0/new': torch.Size([7, 8])}
    """
    gated_layer = _gated_layer(network.core)
    if gated_layer is None:
        return {f"layer0/{gate}": values for gate, values in _further_gates(network, batch, state).items()}
    layer, gates, reset_first = gated_layer
    size, inputs = network.core.hidden_size, encoded(network, batch)
    after = state_trajectory(network, batch, state)
    first = torch.zeros_like(after[:, 0]) if state is None else flatten_state(state, len(inputs))
    before = torch.cat([first[:, None], after[:, :-1]], 1)
    activity: dict[str, Tensor] = {}
    for index in range(layer.num_layers):
        columns = slice(index * size, (index + 1) * size)  # hidden states come first, layer after layer
        values = gate_values(
            gates,
            inputs,
            before[..., columns],
            getattr(layer, f"weight_ih_l{index}"),
            getattr(layer, f"weight_hh_l{index}"),
            getattr(layer, f"bias_ih_l{index}", None),
            getattr(layer, f"bias_hh_l{index}", None),
            reset_first,
        )
        activity |= {f"layer{index}/{gate}": values[gate] for gate in gates}
        inputs = after[..., columns]
    return activity


def gates_only(activity: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the result of :func:`gate_activity` without the candidate values ``new`` and ``cell``.

    Example:
        >>> list(gates_only({"layer0/reset": torch.zeros(1), "layer0/new": torch.zeros(1)}))
        ['layer0/reset']
    """
    return {name: values for name, values in activity.items() if name.rpartition("/")[2] not in CANDIDATES}


def carried(activity: dict[str, Tensor], layer: int, lag: int) -> Tensor | None:
    """Return the share of a unit's candidate value at step t that its gates still hold at step t + lag.

    A GRU writes the share ``1 - z`` of the candidate, and then keeps the share z of its state at each step. So
    ``(1 - z_t) z_{t+1} ... z_{t+lag}`` remains; for the cell of an LSTM, ``input_t forget_{t+1} ... forget_{t+lag}``.
    A share of 1 needs an update gate of 0 at step t and of 1 afterwards. The share does not include memory that the
    recurrent matrices pass between units.

    Args:
        activity: The result of :func:`gate_activity`, ``(..., time, hidden_size)`` for each gate.
        layer: Index of the layer.
        lag: Number of steps, ``1..time - 1``.

    Returns:
        ``(..., time - lag, hidden_size)``, from 0 to 1, for each step t; None without an update or a forget gate.

    Raises:
        UsageError: A value outside its bounds.

    Example:
        >>> z = torch.tensor([[0.5], [0.25], [1.0], [0.5]])
        >>> carried({"layer0/update": z}, layer=0, lag=2).flatten()
        tensor([0.1250, 0.3750])
    """
    update, forget = activity.get(f"layer{layer}/update"), activity.get(f"layer{layer}/forget")
    keep = forget if update is None else update
    if keep is None:
        return None
    written = 1 - keep if update is not None else activity[f"layer{layer}/input"]
    time = keep.shape[-2]
    require(1 <= lag < time, f"lag must be in 1..{time - 1}, got {lag}")
    kept = keep.unfold(-2, lag, 1)[..., 1:, :, :].prod(-1)  # windows t + 1 .. t + lag
    return written[..., : time - lag, :] * kept


def gate_values(
    gates: tuple[str, ...],
    inputs: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    reset_first: bool = False,
) -> dict[str, Tensor]:
    """Compute gates by the equations of :class:`~rnn_tasks.cores.ScratchGRU` and :class:`~rnn_tasks.cores.ScratchLSTM`.

    Args:
        gates: Names of the stacked blocks of the weights: tanh for ``new`` and ``cell``, sigmoid for the others.
        inputs: The layer's inputs, ``(..., input_size)``.
        hidden: The layer's hidden states one step earlier, ``(..., hidden_size)``.
        weight_ih: ``(gates * hidden_size, input_size)``.
        weight_hh: ``(gates * hidden_size, hidden_size)``.
        bias_ih: ``(gates * hidden_size,)``; None for zeros.
        bias_hh: ``(gates * hidden_size,)``; None for zeros.
        reset_first: Whether ``reset`` is applied before the product with the recurrent matrix of ``new``, instead of
            after it.

    Returns:
        ``(..., hidden_size)`` for each gate, by name.

    Example:
        >>> values = gate_values(("update", "new"), torch.ones(1), torch.ones(2), torch.zeros(4, 1), torch.zeros(4, 2))
        >>> values["update"], values["new"]
        (tensor([0.5000, 0.5000]), tensor([0., 0.]))
    """
    from_inputs = functional.linear(inputs, weight_ih, bias_ih).chunk(len(gates), -1)
    from_hidden = functional.linear(hidden, weight_hh, bias_hh).chunk(len(gates), -1)
    sums = {gate: a + b for gate, a, b in zip(gates, from_inputs, from_hidden, strict=True)}
    values = {gate: torch.tanh(x) if gate in CANDIDATES else torch.sigmoid(x) for gate, x in sums.items()}
    if "reset" in gates:
        new = gates.index("new")
        if reset_first:
            bias = None if bias_hh is None else bias_hh.chunk(len(gates))[new]
            recurrent = functional.linear(values["reset"] * hidden, weight_hh.chunk(len(gates))[new], bias)
        else:
            recurrent = values["reset"] * from_hidden[new]
        values["new"] = torch.tanh(from_inputs[new] + recurrent)
    return values


def _further_gates(network: Network, batch: Batch, state: Any) -> dict[str, Tensor]:
    """Return the gates of a layer whose gates are not those of a GRU or LSTM; empty for unsupported layers."""
    core, inputs = network.core, encoded(network, batch)
    if isinstance(core, MinGRU | MinLSTM):
        kept = core.eigenvalues(inputs)["diagonal"].real.to(inputs)
        return {"update": kept} if isinstance(core, MinGRU) else {"forget": kept, "input": 1 - kept}
    if isinstance(core, StackRNN):
        scores = core.actions(hidden_states(network, batch, state)).unflatten(-1, (-1, 3))
        return dict(zip(("push", "pop", "keep"), torch.softmax(scores, -1).unbind(-1), strict=True))
    if isinstance(core, DeltaNet) and core.beta is not None:
        features, _ = last_inputs(inputs, None if state is None else state[1], core.window)
        return {"beta": core.max_beta * torch.sigmoid(core.beta(features))}
    return {}


def _gated_layer(core: Core) -> tuple[nn.RNNBase | Unrolled, tuple[str, ...], bool] | None:
    """Return the layer, the names of its stacked blocks, and ``reset_first``; None for unsupported layers."""
    layer = core.layer if isinstance(core, Foreign) else core
    if isinstance(layer, nn.GRU):
        return layer, ScratchGRU.gates, False
    if isinstance(layer, nn.LSTM):
        return layer, ScratchLSTM.gates, False
    if isinstance(layer, (ScratchGRU, ResetOnlyGRU)):
        return layer, layer.gates, layer.reset == "before"
    if isinstance(layer, (UpdateOnlyGRU, ScratchLSTM)):
        return layer, layer.gates, False
    return None
