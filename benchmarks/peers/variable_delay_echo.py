"""Echo with delays of 0 to 8 by a GRU of 128 units, until 98 % of the letters of 500 strings are correct.

The network receives the delay at every step. Adam with a learning rate of 0.003, multiplied by 0.8 at epochs 100, 200
and 250, batches of 64, 2,000 new sequences per epoch, gradients clipped at a norm of 0.5. The loss is the mean over all
20 steps of a sequence, with zero for unscored steps.
"""

import random
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks.peers.samples import EchoSamples, accuracy_on_strings, train_until

MAX_DELAY, LENGTH, SYMBOLS = 8, 20, 27


class Network(nn.Module):
    """Concatenated embeddings of letter and delay, torch's GRU, a linear readout."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(SYMBOLS, 64)
        self.delays = nn.Embedding(MAX_DELAY + 1, 64)
        self.gru = nn.GRU(128, 128, batch_first=True)
        self.readout = nn.Linear(128, SYMBOLS)

    def forward(self, inputs: Tensor, delays: Tensor) -> Tensor:
        """Return logits ``(batch, time, symbols)`` of letters ``(batch, time)`` and delays ``(batch,)``."""
        delay_features = self.delays(delays)[:, None].repeat(1, inputs.shape[1], 1)
        hidden, _ = self.gru(torch.cat([delay_features, self.letters(inputs)], 2))
        logits: Tensor = self.readout(hidden)
        return logits


def train_epoch(network: nn.Module, optimizer: torch.optim.Optimizer, sequences: int = 2_000) -> None:
    """Train for one epoch on new sequences."""
    for inputs, delays, targets in DataLoader(EchoSamples(sequences, LENGTH, (0, MAX_DELAY)), batch_size=64):
        optimizer.zero_grad()
        logits = network(inputs, delays)
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        unscored = [torch.zeros(int(delay)) for delay in delays] + [torch.zeros(LENGTH)]
        scored = nn.utils.rnn.pad_sequence(unscored, batch_first=True, padding_value=1)[:-1]
        (losses.view(-1, LENGTH) * scored).mean(1).mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()


if __name__ == "__main__":
    torch.manual_seed(0)
    random.seed(0)
    network, accuracy = Network(), partial(accuracy_on_strings, lengths=(LENGTH, LENGTH), delays=(0, MAX_DELAY))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[100, 200, 250], gamma=0.8)
    train_until(0.98, network, optimizer, train_epoch, accuracy, schedule)
