"""The concise loop of Dive into Deep Learning 0.17 over a text: torch's RNN of 256 units, SGD 1, clipping at 1."""

import random
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional


def clip(parameters: list[nn.Parameter], largest: float) -> None:
    """Scale all gradients, if their norm is above the largest that is allowed."""
    squares = [(parameter.grad**2).sum() for parameter in parameters if parameter.grad is not None]
    norm = torch.stack(squares).sum().sqrt()
    if norm > largest:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad *= largest / norm


class ConciseLoop:
    """Trains on a text that is read in rows, with the state carried from batch to batch, time first.

    Args:
        symbols: The text, ``(characters,)`` int64.
        vocabulary: Number of different symbols.
        rows: Rows that the text is read in.
        length: Characters of each row in a batch.
        hidden_size: Units.
    """

    def __init__(self, symbols: Tensor, vocabulary: int, rows: int, length: int, hidden_size: int = 256) -> None:
        self.corpus, self.vocabulary, self.rows, self.length = symbols.tolist(), vocabulary, rows, length
        self.rnn = nn.RNN(vocabulary, hidden_size)
        self.readout = nn.Linear(hidden_size, vocabulary)
        self.parameters = [*self.rnn.parameters(), *self.readout.parameters()]
        self.optimizer = torch.optim.SGD(self.parameters, lr=1.0)
        self.steps = self.train()
        self.loss_sum, self.seen = 0.0, 0

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets ``(rows, length)``, from a random offset on, made of a list of numbers as in the book."""
        offset = random.randint(0, self.length)
        width = (len(self.corpus) - offset - 1) // self.rows
        inputs, targets = (
            torch.tensor(self.corpus[start : start + self.rows * width]).reshape(self.rows, width)
            for start in (offset, offset + 1)
        )
        for start in range(0, width // self.length * self.length, self.length):
            yield inputs[:, start : start + self.length], targets[:, start : start + self.length]

    def train(self) -> Iterator[None]:
        """A step each time that it is asked, epoch after epoch."""
        while True:
            state = torch.zeros(1, self.rows, self.rnn.hidden_size)
            for inputs, targets in self.epoch():
                state = state.detach()
                hidden, state = self.rnn(functional.one_hot(inputs.T, self.vocabulary).float(), state)
                wanted = targets.T.reshape(-1)
                loss = functional.cross_entropy(self.readout(hidden.reshape(-1, hidden.shape[-1])), wanted)
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                clip(self.parameters, 1.0)
                self.optimizer.step()
                self.loss_sum += float(loss.detach() * wanted.numel())
                self.seen += wanted.numel()
                yield

    def __call__(self, steps: int) -> None:
        """Train for so many steps."""
        for _ in range(steps):
            next(self.steps)
