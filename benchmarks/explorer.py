"""Time of the JavaScript engine of the explorer page and its ratio to torch; each round is a new process of Node.js."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.table import NotMeasuredError, Row
from benchmarks.timing import interleaved, ratio_row, torch_timer

SCRIPT = Path(__file__).with_suffix(".cjs")
LAYERS: dict[str, tuple[type[nn.Module], int, int]] = {
    "elman": (nn.RNN, 520, 27),
    "gru": (nn.GRU, 300, 28),
    "lstm": (nn.LSTM, 256, 28),
}
"""By kind of layer: torch's layer, hidden size and number of symbols; each network has about 300,000 weights."""

TIME = 100
SEQUENCES, SCORED_TIME = 200, 20
QUANTITIES = {
    "first": ("forward pass, first call, ms", 50),
    "forward": ("forward pass, second call, ms", None),
    "gradient": ("gradient of the last step, ms", None),
    "exchange": ("exchange of the first symbol for 8 others, ms", None),
}
"""By name in the script: the quantity and its upper bound."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield the ratio to torch and the times of all functions for each layer, and the rate of scoring."""
    rounds = 2 if quick else 10
    for kind in LAYERS:
        results: list[dict[str, float]] = []
        contestants: dict[str, Callable[[], float]] = {
            "engine": partial(forward_seconds, kind, results),
            "torch": torch_timer(torch_forward(kind)),
        }
        seconds = interleaved(contestants, rounds)
        case = f"{kind}, {int(results[0]['weights']):,} weights, {TIME} symbols"
        yield ratio_row("explorer", case, seconds, "engine", "torch", note="forward pass in double precision")
        for name, (quantity, bound) in QUANTITIES.items():
            yield Row("explorer", case, quantity, [1e3 * result[name] for result in results], bound)
    products = SEQUENCES * SCORED_TIME * 416**2
    rates = [products / engine_seconds("elman", 416, 27)["score"] / 1e9 for _ in range(rounds)]
    case = f"elman, 416 units, {SEQUENCES} sequences of {SCORED_TIME} symbols"
    yield Row("explorer", case, "scoring, 1e9 multiplications per second", rates, at_least=0.7)


def forward_seconds(kind: str, results: list[dict[str, float]]) -> float:
    """Append the result of :func:`engine_seconds` to ``results``; return the seconds of the second forward pass."""
    _, hidden_size, symbols = LAYERS[kind]
    results.append(engine_seconds(kind, hidden_size, symbols))
    return results[-1]["forward"]


def torch_forward(kind: str) -> Callable[[], Tensor]:
    """Return a function that computes the logits of one sequence with torch, in double precision."""
    layer_class, hidden_size, symbols = LAYERS[kind]
    layer = layer_class(symbols, hidden_size, batch_first=True).double()
    readout = nn.Linear(hidden_size, symbols).double()
    inputs = functional.one_hot(torch.randint(symbols, (1, TIME)), symbols).double()

    @torch.no_grad()
    def run() -> Tensor:
        logits: Tensor = readout(layer(inputs)[0])
        return logits

    return run


def engine_seconds(kind: str, hidden_size: int, symbols: int, time: int = TIME) -> dict[str, float]:
    """Return the number of weights and the seconds of each function, measured in a new process.

    Args:
        kind: The layer: ``elman``, ``gru`` or ``lstm``.
        hidden_size: Units.
        symbols: Number of input symbols and of output symbols.
        time: Number of symbols of the sequence.

    Raises:
        NotMeasuredError: Node.js is not installed.
    """
    node = shutil.which("node")
    if node is None:
        raise NotMeasuredError("Node.js is not installed")
    numbers = [str(number) for number in (hidden_size, symbols, time, SEQUENCES, SCORED_TIME)]
    process = subprocess.run([node, str(SCRIPT), kind, *numbers], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(process.stdout)
    return result
