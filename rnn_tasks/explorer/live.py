"""Which networks a page can run itself, and their description."""

from typing import Any

from torch.nn.utils.parametrize import type_before_parametrizations

from rnn_tasks.cores import (
    GRU,
    LSTM,
    RNN,
    Core,
    Elman,
    ResetOnlyGRU,
    ScratchGRU,
    ScratchLSTM,
    UpdateOnlyGRU,
)
from rnn_tasks.cores.stacked import Stacked
from rnn_tasks.networks import ConditionalLinear, LanguageNetwork, Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.networks.sequence_network import SequenceNetwork

KINDS: dict[type[Core], str] = {
    RNN: "elman",
    Elman: "elman",
    GRU: "gru",
    ScratchGRU: "gru",
    ResetOnlyGRU: "gru",
    UpdateOnlyGRU: "gru",
    LSTM: "lstm",
    ScratchLSTM: "lstm",
}
"""The layers that a page can run, and the names of their equations there. Subclasses may have other equations."""


def unknown_class(network: Network) -> str | None:
    """Return the name of the class whose equations a page does not have; None if a page can run the network.

    Args:
        network: The network.
    """
    if type(network) not in (TaggerNetwork, RegressorNetwork, LanguageNetwork):
        return type(network).__name__
    layer = type_before_parametrizations(network.core)
    return None if layer in KINDS else layer.__name__


def is_live(network: Network) -> bool:
    """Return whether a page can run a network.

    Args:
        network: The network.
    """
    return unknown_class(network) is None


def network_values(network: Network) -> dict[str, Any]:
    """Return the description of a network that a page can run.

    Args:
        network: The network, see :func:`is_live`.
    """
    core = network.core
    assert isinstance(core, Stacked)
    kind = KINDS[type_before_parametrizations(core)]
    return {
        "layer": {
            "kind": kind,
            "gates": list(core.gates),
            "activation": activation_of(core),
            "reset": core.reset if isinstance(core, ScratchGRU) else "after",
            "num_layers": core.num_layers,
            "input_size": core.weight_ih_l0.shape[1],
            "hidden_size": core.hidden_size,
        },
        "condition_at_input": isinstance(network, SequenceNetwork) and network.condition_at_input,
        "conditional_readout": isinstance(network.readout, ConditionalLinear),
        "real_inputs": network.spec.real_inputs,
        "real_targets": network.spec.real_targets,
    }


def activation_of(core: Core) -> str:
    """Return the name of the function that a layer applies to its sums; ``tanh`` for gated layers.

    Args:
        core: The layer, one of :data:`KINDS`.
    """
    if isinstance(core, RNN):
        return str(core.nonlinearity)
    return core.activation if isinstance(core, Elman) else "tanh"


def state_parts(network: Network) -> list[tuple[str, int]]:
    """Return the parts of the state of a network that a page can run, in the order of the flat state.

    Args:
        network: The network, see :func:`is_live`.

    Returns:
        The name of each part, such as ``layer 1 hidden``, and its size.
    """
    core = network.core
    assert isinstance(core, Stacked)
    tensors = ("hidden", "cell") if isinstance(core, LSTM | ScratchLSTM) else ("hidden",)
    return [(f"layer {layer + 1} {name}", core.hidden_size) for name in tensors for layer in range(core.num_layers)]
