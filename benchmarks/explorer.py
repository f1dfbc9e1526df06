"""Time of the functions of the explorer page in JavaScript; each round is a new process of Node.js."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table import NotMeasuredError, Row

SCRIPT = Path(__file__).with_suffix(".cjs")
LAYERS = {"elman": (520, 27), "gru": (300, 28), "lstm": (256, 28)}
"""By kind of layer: hidden size and number of symbols; each network has about 300,000 weights."""

TIME = 100
SEQUENCES, SCORED_TIME = 200, 20
QUANTITIES = {
    "first": ("forward pass, first call, ms", 50),
    "forward": ("forward pass, second call, ms", None),
    "gradient": ("gradient of the last step, ms", None),
    "exchange": ("exchange of each symbol for 8 others, ms", None),
}
"""By name in the script: the quantity and its upper bound."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield the times of all functions for each layer, and the rate at which sequences are scored."""
    rounds = 2 if quick else 8
    for kind, (hidden_size, symbols) in LAYERS.items():
        results = [engine_seconds(kind, hidden_size, symbols) for _ in range(rounds)]
        case = f"{kind}, {int(results[0]['weights']):,} weights, {TIME} symbols"
        for name, (quantity, bound) in QUANTITIES.items():
            yield Row("explorer", case, quantity, [1e3 * result[name] for result in results], bound)
    products = SEQUENCES * SCORED_TIME * 416**2
    rates = [products / engine_seconds("elman", 416, 27)["score"] / 1e9 for _ in range(rounds)]
    case = f"elman, 416 units, {SEQUENCES} sequences of {SCORED_TIME} symbols"
    yield Row("explorer", case, "scoring, 1e9 multiplications per second", rates, at_least=0.7)


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
