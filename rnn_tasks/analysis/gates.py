"""What the gates of a gated layer do."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.analysis.flow import encoded, flatten_state, state_trajectory
from rnn_tasks.cores import Core, Foreign, ResetOnlyGRU, ScratchGRU, ScratchLSTM, State, Unrolled, UpdateOnlyGRU
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch

NO_GATES = ("new", "cell")
"""What the gates let in."""

MEANING = {
    "update": "1 keeps the state",
    "reset": "0 hides the old state",
    "input": "1 lets in",
    "forget": "1 keeps the cell",
    "output": "1 shows the cell",
}


@torch.no_grad()
def gate_activity(network: Network, batch: Batch, state: State = None) -> dict[str, Tensor]:
    """What the gates of a gated layer do at each step of the sequences.

    Known are torch's GRU and LSTM, also as a :class:`~rnn_tasks.cores.Foreign` layer, and the package's own ScratchGRU,
    ResetOnlyGRU, UpdateOnlyGRU and ScratchLSTM. The convention is torch's, and that of their docstrings:

    - ``update``, z: ``h_t = (1 - z) * new + z * h_{t-1}``, so 1 keeps the state and 0 writes it anew (in Cho et al.
      2014; some other authors swap the two)
    - ``reset``, r: 0 hides the old state from ``new``
    - ``input``, ``forget``, ``output`` of an LSTM: ``m_t = forget * m_{t-1} + input * cell`` and
      ``h_t = output * tanh(m_t)``, so a ``forget`` of 1 keeps the cell m
    - ``new`` and ``cell`` are no gates but what the gates let in, from -1 to 1

    Args:
        network: The network.
        batch: What it reads.
        state: The layer's state before the first step; None for zeros.

    Returns:
        ``(batch, time, hidden_size)`` each, named ``layer0/reset``, ``layer0/update``, ...; empty for other layers.

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
    gated = _gated(network.core)
    if gated is None:
        return {}
    layer, gates, reset_first = gated
    size, inputs = network.core.hidden_size, encoded(network, batch)
    after = state_trajectory(network, batch, state)
    first = torch.zeros_like(after[:, 0]) if state is None else flatten_state(state, len(inputs))
    before = torch.cat([first[:, None], after[:, :-1]], 1)
    found: dict[str, Tensor] = {}
    for index in range(layer.num_layers):
        own = slice(index * size, (index + 1) * size)  # hidden states come first, layer after layer
        values = gate_values(
            gates,
            inputs,
            before[..., own],
            getattr(layer, f"weight_ih_l{index}"),
            getattr(layer, f"weight_hh_l{index}"),
            getattr(layer, f"bias_ih_l{index}", None),
            getattr(layer, f"bias_hh_l{index}", None),
            reset_first,
        )
        found |= {f"layer{index}/{gate}": values[gate] for gate in gates}
        inputs = after[..., own]
    return found


def gates_only(activity: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gates among what :func:`gate_activity` returns.

    Example:
        >>> list(gates_only({"layer0/reset": torch.zeros(1), "layer0/new": torch.zeros(1)}))
        ['layer0/reset']
    """
    return {name: values for name, values in activity.items() if name.rpartition("/")[2] not in NO_GATES}


def carried(activity: dict[str, Tensor], layer: int, lag: int) -> Tensor | None:
    """How much of what a unit takes in at a step its gates alone still hold so many steps later.

    A GRU takes in ``1 - z`` of its candidate, and then keeps the share z of its state at each step, so of the step t
    there is ``(1 - z_t) z_{t+1} ... z_{t+lag}`` left; of an LSTM's cell ``input_t forget_{t+1} ... forget_{t+lag}``.
    To carry the input of one step alone, these gates must be 0 and then 1: 1 is left. What a layer carries by its
    recurrent matrices, from unit to unit, is not in this.

    Args:
        activity: Gates, ``(..., time, hidden_size)`` each, as from :func:`gate_activity`.
        layer: Which layer, from 0.
        lag: Steps, ``1..time - 1``.

    Returns:
        ``(..., time - lag, hidden_size)``, from 0 to 1, by the step t; None for a layer without a gate that keeps.

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
    taken = 1 - keep if update is not None else activity[f"layer{layer}/input"]
    time = keep.shape[-2]
    require(1 <= lag < time, f"lag must be in 1..{time - 1}, got {lag}")
    kept = keep.unfold(-2, lag, 1)[..., 1:, :, :].prod(-1)  # each window ends where the lag does
    return taken[..., : time - lag, :] * kept


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
    """Gates from their equations, see :class:`~rnn_tasks.cores.ScratchGRU` and :class:`~rnn_tasks.cores.ScratchLSTM`.

    Args:
        gates: Names of the blocks that the weights stack: ``new`` and ``cell`` are a tanh, the others a sigmoid.
        inputs: What the layer reads, ``(..., input_size)``.
        hidden: Its hidden states one step before, ``(..., hidden_size)``.
        weight_ih: ``(gates * hidden_size, input_size)``.
        weight_hh: ``(gates * hidden_size, hidden_size)``.
        bias_ih: ``(gates * hidden_size,)``; None for zeros.
        bias_hh: ``(gates * hidden_size,)``; None for zeros.
        reset_first: Whether ``reset``, where there is one, acts before the product with the recurrent matrix of
            ``new``, and not after it.

    Returns:
        ``(..., hidden_size)`` each.

    Example:
        >>> values = gate_values(("update", "new"), torch.ones(1), torch.ones(2), torch.zeros(4, 1), torch.zeros(4, 2))
        >>> values["update"], values["new"]
        (tensor([0.5000, 0.5000]), tensor([0., 0.]))
    """
    read = functional.linear(inputs, weight_ih, bias_ih).chunk(len(gates), -1)
    kept = functional.linear(hidden, weight_hh, bias_hh).chunk(len(gates), -1)
    sums = {gate: a + b for gate, a, b in zip(gates, read, kept, strict=True)}
    values = {gate: torch.tanh(x) if gate in ("new", "cell") else torch.sigmoid(x) for gate, x in sums.items()}
    if "reset" in gates:
        new = gates.index("new")
        if reset_first:
            bias = None if bias_hh is None else bias_hh.chunk(len(gates))[new]
            again = functional.linear(values["reset"] * hidden, weight_hh.chunk(len(gates))[new], bias)
        else:
            again = values["reset"] * kept[new]
        values["new"] = torch.tanh(read[new] + again)
    return values


def _gated(core: Core) -> tuple[nn.RNNBase | Unrolled, tuple[str, ...], bool] | None:
    """The layer, the blocks that its weights stack, whether its reset acts first; None if its gates are not known."""
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
