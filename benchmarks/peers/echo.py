"""Echo with a delay of 4 by a GRU of 128 units, until 99 % of the letters of 500 strings are correct.

Adam with a learning rate of 0.01, divided by 10 every 10 epochs, batches of 64, gradients clipped at a norm of 0.01.
Two loader processes each yield the 10,000 sequences of an epoch.
"""

import random
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.peers.samples import EchoSamples, accuracy_on_strings, train_until

DELAY, SYMBOLS = 4, 27


class Network(nn.Module):
    """One-hot symbols, torch's GRU, a linear readout."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(SYMBOLS, 128, batch_first=True)
        self.readout = nn.Linear(128, SYMBOLS)

    def forward(self, inputs: Tensor, delays: Tensor) -> Tensor:
        """Return logits ``(batch, time, symbols)`` of symbols ``(batch, time)``; the delays are not used."""
        # The recipe, too, builds an identity matrix at each call.
        one_hot = torch.eye(SYMBOLS).index_select(0, inputs.flatten()).view(*inputs.shape, SYMBOLS)
        hidden, _ = self.gru(one_hot)
        logits: Tensor = self.readout(hidden)
        return logits


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, sequences: int = 10_000, workers: int = 2
) -> None:
    """Train for one epoch."""
    samples = EchoSamples(sequences, 15, (DELAY, DELAY))
    for inputs, delays, targets in DataLoader(samples, batch_size=64, num_workers=workers):
        logits = network(inputs, delays)[:, DELAY:]
        optimizer.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), targets[:, DELAY:].flatten()).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 0.01)
        optimizer.step()


if __name__ == "__main__":
    torch.manual_seed(0)
    random.seed(0)
    network, accuracy = Network(), partial(accuracy_on_strings, lengths=(15, 25), delays=(DELAY, DELAY))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
    train_until(0.99, network, optimizer, train_epoch, accuracy, schedule)
