"""Which networks a page can run itself, and their description."""

from typing import Any, NamedTuple

from torch.nn.utils.parametrize import type_before_parametrizations

from rnn_tasks.cores import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Core,
    DeltaNet,
    Elman,
    MinGRU,
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
    MinGRU: "mingru",
    LRU: "lru",
    DeltaNet: "deltanet",
}
"""The layers that a page can run, and the names of their equations there. Subclasses may have other equations."""


class StatePart(NamedTuple):
    """A part of the flat state of a network, which a page shows by itself.

    Attributes:
        name: The name, such as ``layer 1 hidden``. Parts whose names have the same first two words, and that have the
            same size, belong to the same units.
        start: The index of the first number.
        size: The number of numbers.
        step: The distance between two numbers of the part.
        columns: The number of columns if the part is a matrix, row after row; otherwise 1.
        rows: What the numbers belong to, ``units`` or ``inputs``.
    """

    name: str
    start: int
    size: int
    step: int = 1
    columns: int = 1
    rows: str = "units"


def unknown_class(network: Network) -> str | None:
    """Return the name of the class whose equations a page does not have; None if a page can run the network.

    Args:
        network: The network.
    """
    if type(network) not in (TaggerNetwork, RegressorNetwork, LanguageNetwork):
        return type(network).__name__
    layer = type_before_parametrizations(network.core)
    if isinstance(network.core, Elman) and network.core.activation == "modrelu":
        return "Elman with modrelu"
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
    return {
        "layer": {
            "kind": KINDS[type_before_parametrizations(core)],
            "num_layers": core.num_layers if isinstance(core, Stacked) else 1,
            "input_size": core.input_size,
            "hidden_size": core.hidden_size,
            **layer_options(core),
        },
        "condition_at_input": isinstance(network, SequenceNetwork) and network.condition_at_input,
        "conditional_readout": isinstance(network.readout, ConditionalLinear),
        "real_inputs": network.spec.real_inputs,
        "real_targets": network.spec.real_targets,
    }


def layer_options(core: Core) -> dict[str, Any]:
    """Return the options of a layer that its equation in a page needs.

    Args:
        core: The layer, one of :data:`KINDS`.
    """
    match core:
        case LRU():
            names = ["num_states"]
        case MinGRU():
            names = ["positive"]
        case DeltaNet():
            names = ["heads", "window", "max_beta", "decay", "delta"]
            return {name: getattr(core, name) for name in names} | {
                "products": core.key.out_features // core.hidden_size
            }
        case Stacked():
            reset = core.reset if isinstance(core, ScratchGRU) else "after"
            return {"gates": list(core.gates), "activation": activation_of(core), "reset": reset}
        case _:
            raise AssertionError(type(core))
    return {name: getattr(core, name) for name in names}


def activation_of(core: Core) -> str:
    """Return the name of the function that a layer applies to its sums; ``tanh`` for gated layers.

    Args:
        core: The layer, one of :data:`KINDS`.
    """
    if isinstance(core, RNN):
        return str(core.nonlinearity)
    return core.activation if isinstance(core, Elman) else "tanh"


def state_parts(network: Network) -> list[StatePart]:
    """Return the parts of the state of a network that a page can run.

    Args:
        network: The network, see :func:`is_live`.
    """
    core = network.core
    match core:
        case LRU():
            names = [f"layer 1 state, {part} part" for part in ("real", "imaginary")]
            return [StatePart(name, i, core.num_states, 2) for i, name in enumerate(names)]
        case DeltaNet():
            columns = core.hidden_size // core.heads
            size, inputs = columns**2, core.input_size
            kept = ["previous input", *(f"input {ago} steps earlier" for ago in range(2, core.window))]
            return [
                *(StatePart(f"head {i + 1} matrix", i * size, size, columns=columns) for i in range(core.heads)),
                *(
                    StatePart(name, core.heads * size + (core.window - 1 - ago) * inputs, inputs, rows="inputs")
                    for ago, name in enumerate(kept[: core.window - 1], 1)
                ),
            ]
        case Stacked():
            tensors = ("hidden", "cell") if isinstance(core, LSTM | ScratchLSTM) else ("hidden",)
            names = [f"layer {layer + 1} {name}" for name in tensors for layer in range(core.num_layers)]
        case _:
            names = ["layer 1 hidden"]
    return [StatePart(name, i * core.hidden_size, core.hidden_size) for i, name in enumerate(names)]
