"""Echo with a delay of 4 and a GRU of 128 units, until 99 % of the letters of 500 strings are right.

Adam .01, divided by ten every ten epochs, batch 64, clipping at .01, two loader processes that each give the 10,000
sequences of an epoch.
"""

import json
import random
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.peers.samples import EchoSamples, answer, drawn_text, numbers, right_letters

DELAY, SYMBOLS, SOLVED, MINUTES = 4, 27, 0.99, 10


def one_hot(symbols: Tensor) -> Tensor:
    """Rows of an identity matrix, which is made at each call."""
    return torch.eye(SYMBOLS).index_select(0, symbols.flatten()).view(*symbols.shape, SYMBOLS)


class Network(nn.Module):
    """torch's GRU and a linear readout."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(SYMBOLS, 128, batch_first=True)
        self.readout = nn.Linear(128, SYMBOLS)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, time, symbols)`` to logits of the same shape."""
        hidden, _ = self.gru(inputs)
        logits: Tensor = self.readout(hidden)
        return logits


def train_epoch(network: Network, optimizer: torch.optim.Optimizer) -> None:
    """One epoch."""
    network.train()
    for inputs, _, targets in DataLoader(EchoSamples(10_000, 15, (DELAY, DELAY)), batch_size=64, num_workers=2):
        logits = network(one_hot(inputs))[:, DELAY:]
        optimizer.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), targets[:, DELAY:].flatten()).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        optimizer.step()


@torch.no_grad()
def accuracy_on_strings(network: Network, count: int = 500) -> float:
    """Share of right letters, string by string."""
    right = asked = 0
    for _ in range(count):
        text = drawn_text(random.randint(15, 25))
        said = answer(network(one_hot(torch.tensor(numbers(text))).unsqueeze(0)))
        right += right_letters(text, said, DELAY)
        asked += len(text) - DELAY
    return right / asked


def main() -> None:
    """Train, and say how long it took and what it reached."""
    torch.manual_seed(0)
    random.seed(0)
    started = perf_counter()
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
    accuracy, epoch = 0.0, 0
    while accuracy <= SOLVED and perf_counter() - started < 60 * MINUTES:
        train_epoch(network, optimizer)
        schedule.step()
        accuracy = accuracy_on_strings(network)
        epoch += 1
    result = {"seconds": perf_counter() - started, "accuracy": accuracy, "epochs": epoch}
    print(json.dumps({**result, "solved": accuracy > SOLVED}))


if __name__ == "__main__":
    main()
