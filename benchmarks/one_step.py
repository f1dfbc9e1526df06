"""Training steps of one size in a process of its own; prints their seconds and how much memory they came to need.

python -m benchmarks.one_step LENGTH HIDDEN BATCH
"""

import json
import os
import re
import resource
import statistics
import sys
from pathlib import Path
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional

from rnn_tasks.commands import LARGE_PAGES
from rnn_tasks.cores import Elman

SYMBOLS, LEAST_STEPS, LEAST_SECONDS = 10, 3, 0.5


def memory(field: str) -> int:
    """Bytes of this process: ``VmRSS``, those that it has now, or ``VmHWM``, the most that it has had."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(rf"{field}:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(length: int, hidden_size: int, batch: int) -> None:
    """Train for some steps, and print what they took.

    Args:
        length: Time steps, ``>= 1``.
        hidden_size: Units, ``>= 1``.
        batch: Sequences, ``>= 1``.
    """
    os.environ.setdefault(*LARGE_PAGES)  # as the command line does; torch looks at its first large tensor
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layer, readout = Elman(SYMBOLS, hidden_size), nn.Linear(hidden_size, SYMBOLS)
    optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()])
    before = memory("VmRSS")
    seconds: list[float] = []
    while len(seconds) < LEAST_STEPS or sum(seconds) < LEAST_SECONDS:
        started = perf_counter()
        symbols = torch.randint(SYMBOLS, (batch, length))
        hidden, _ = layer(functional.one_hot(symbols, SYMBOLS).float())
        loss = functional.cross_entropy(readout(hidden).flatten(0, 1), symbols.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(perf_counter() - started)
    peak = memory("VmHWM")
    print(json.dumps({"seconds": statistics.median(seconds[1:]), "memory": max(peak - before, 1), "peak": peak}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
