"""Data made one sequence at a time and training until a task is solved, for all recipes."""

import json
import random
import string
from collections.abc import Callable, Iterator
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset, IterableDataset

LETTERS = string.ascii_lowercase


class EchoSamples(IterableDataset[tuple[Tensor, int, Tensor]]):
    """Letters as 1 to 26, a delay, and the letters shifted by the delay, with zeros before them.

    Args:
        count: Number of sequences.
        length: Letters in a sequence.
        delays: Shortest and longest delay; a delay is drawn for each sequence.
    """

    def __init__(self, count: int, length: int, delays: tuple[int, int]) -> None:
        self.count, self.length, self.delays = count, length, delays

    def __iter__(self) -> Iterator[tuple[Tensor, int, Tensor]]:
        for _ in range(self.count):
            numbers = [random.choice(range(1, len(LETTERS) + 1)) for _ in range(self.length)]
            letters = torch.tensor(numbers, dtype=torch.int64)
            delay = random.randint(*self.delays)
            shifted = torch.cat((torch.zeros(delay), letters[: self.length - delay])).type(torch.int64)
            yield letters, delay, shifted

    def __len__(self) -> int:
        return self.count


class CopySamples(Dataset[tuple[Tensor, Tensor]]):
    """Random symbols, a blank, and as many blanks as symbols; the targets are blanks, then the symbols.

    Every access draws a new sequence.

    Args:
        count: Number of sequences.
        size: Number of symbols to remember.
        alphabet: Number of different symbols; the blank has this number.
    """

    def __init__(self, count: int, size: int = 10, alphabet: int = 8) -> None:
        self.count, self.size, self.alphabet = count, size, alphabet

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        symbols = torch.randint(self.alphabet, (self.size,))
        inputs = torch.full((2 * self.size + 1,), self.alphabet)
        inputs[: self.size] = symbols
        inputs[self.size] = self.alphabet
        targets = torch.full_like(inputs, self.alphabet)
        targets[self.size + 1 :] = symbols
        return inputs, targets


@torch.no_grad()
def accuracy_on_strings(network: nn.Module, lengths: tuple[int, int], delays: tuple[int, int]) -> float:
    """Return the fraction of correct letters in the answers to 500 strings, given one at a time.

    Args:
        network: Maps symbols ``(1, time)`` and delays ``(1,)`` to logits.
        lengths: Shortest and longest string.
        delays: Shortest and longest delay.
    """
    correct = scored = 0
    for _ in range(500):
        text = "".join([random.choice(LETTERS) for _ in range(random.randint(*lengths))])
        delay = random.randint(*delays)
        numbers = [ord(letter) - ord("a") + 1 for letter in text]
        symbols = network(torch.tensor(numbers).unsqueeze(0), torch.tensor([delay])).argmax(2).squeeze(0)
        answer = "".join([" " if symbol == 0 else chr(symbol + ord("a") - 1) for symbol in symbols])
        pairs = zip(text[: len(text) - delay], answer[delay:], strict=True)
        correct += sum(int(letter == answered) for letter, answered in pairs)
        scored += len(text) - delay
    return correct / scored


def train_until(
    solved: float,
    network: nn.Module,
    optimizer: Optimizer,
    train_epoch: Callable[[nn.Module, Optimizer], None],
    accuracy: Callable[[nn.Module], float],
    schedule: LRScheduler | None = None,
) -> None:
    """Train until an accuracy of ``solved`` or for 20 minutes; print seconds, accuracy, epochs and success as JSON.

    The accuracy is measured and the schedule advances after each epoch.
    """
    start, epochs, reached = perf_counter(), 0, 0.0
    while reached < solved and perf_counter() - start < 1_200:
        network.train()
        train_epoch(network, optimizer)
        if schedule is not None:
            schedule.step()
        network.eval()
        reached, epochs = accuracy(network), epochs + 1
    result = {"seconds": perf_counter() - start, "accuracy": reached, "epochs": epochs, "solved": reached >= solved}
    print(json.dumps(result))
