"""3: our Elman layer against torch's, forward and backward; and what keeping a matrix orthogonal costs in a step."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.rows import Bound, Row
from benchmarks.turns import Setting, in_turn, ratio_row, repeated, threads
from rnn_tasks.callbacks.reorthogonalize import Reorthogonalize
from rnn_tasks.cores import Elman

SIZES = ((128, 21, 128, 10), (512, 35, 32, 28), (256, 35, 32, 28), (128, 220, 128, 10), (64, 25, 1, 24))
"""Units, length, batch and input size: copy, time_machine from scratch and concise, a long copy, elman_grammar."""

FAST, FAST_SIZES, NEVER_SLOWER = 1.2, 4, 0.95
UNITS, QUICK_UNITS = (16, 64, 128, 256), (128,)
Map = Literal["matrix_exp", "cayley", "householder"]
BOUNDS = {("qr", 128): 1.15, ("cayley", 128): 1.5, ("matrix_exp", 128): 1.5}


def measure(setting: Setting) -> Iterator[Row]:
    """Rows of both."""
    for count in (1, 2):
        with threads(count):
            yield from layers(setting, torch.device("cpu"), f", {threads_word(count)}")
    for units in QUICK_UNITS if setting.quick else UNITS:
        yield from constraints(setting, units)


def threads_word(count: int) -> str:
    """How many threads, as text."""
    return f"{count} thread" + "s" * (count > 1)


def layers(setting: Setting, device: torch.device, where: str) -> Iterator[Row]:
    """A row for each size, and how many of them are fast.

    Args:
        setting: How thoroughly.
        device: Where to compute.
        where: The same as text, put behind the sizes.
    """
    medians = []
    for units, length, batch, features in SIZES:
        works = layer_works(units, length, batch, features, device)
        ours, count = repeated(works["ours"], 0.05 if setting.quick else 0.15)
        works["torch"]()
        laps = in_turn({"ours": ours, "torch": times(works["torch"], count)}, setting.count(15, 3))
        laps = {name: [each.each(count) for each in found] for name, found in laps.items()}
        what = f"hidden {units}, length {length}, batch {batch}{where}"
        row = ratio_row("cores", what, laps, "torch", "ours", Bound(">=", NEVER_SLOWER), ours="ours")
        medians.append(row.median or 0.0)
        yield row
    fast = sum(median >= FAST for median in medians)
    figure = f"sizes at {FAST} x torch"
    yield Row("cores", f"of {len(SIZES)} sizes{where}", figure, (float(fast),), Bound(">=", FAST_SIZES))


def times(work: Callable[[], object], count: int) -> Callable[[], None]:
    """A loop that does a piece of work so often."""

    def loop() -> None:
        for _ in range(count):
            work()

    return loop


def pair(units: int, features: int, device: torch.device) -> tuple[Elman, nn.RNN]:
    """Our layer and torch's, with equal weights.

    Args:
        units: Hidden size.
        features: Input size.
        device: Where they are.
    """
    ours, theirs = Elman(features, units).to(device), nn.RNN(features, units, batch_first=True).to(device)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def layer_works(
    units: int, length: int, batch: int, features: int, device: torch.device
) -> dict[str, Callable[[], object]]:
    """Forward and backward of both layers on the same one-hot input.

    Args:
        units: Hidden size.
        length: Time steps.
        batch: Sequences.
        features: Input size.
        device: Where to compute.

    Returns:
        The work of ``ours`` and of ``torch``.
    """
    inputs = functional.one_hot(torch.randint(features, (batch, length), device=device), features).float()
    gradient = torch.randn(batch, length, units, device=device)

    def once(layer: nn.Module) -> None:
        layer.zero_grad()
        outputs, _ = layer(inputs)
        outputs.backward(gradient)
        if device.type == "cuda":
            torch.cuda.synchronize()

    ours, theirs = pair(units, features, device)
    return {"ours": lambda: once(ours), "torch": lambda: once(theirs)}


class Step:
    """A training step of an Elman layer with a readout: forward, loss, backward, Adam; batch 128, length 21.

    Args:
        units: Hidden size.
        orthogonal_map: Parametrization of the recurrent matrix; None leaves it free.
        projected: Whether it is projected after each step.
    """

    def __init__(self, units: int, orthogonal_map: Map | None = None, projected: bool = False) -> None:
        self.layer = Elman(10, units, recurrent_init=None, orthogonal_map=orthogonal_map)
        self.readout = nn.Linear(units, 9)
        self.optimizer = torch.optim.Adam([*self.layer.parameters(), *self.readout.parameters()], lr=1e-4)
        self.inputs = functional.one_hot(torch.randint(10, (128, 21)), 10).float()
        self.targets = torch.randint(9, (128 * 21,))
        self.constraint = Reorthogonalize() if projected else None
        if self.constraint is not None:
            self.constraint.weights = self.layer.recurrent_weights()
            self.constraint.project()

    def __call__(self) -> Tensor:
        """One step; gives its loss."""
        hidden, _ = self.layer(self.inputs)
        loss = functional.cross_entropy(self.readout(hidden).flatten(0, 1), self.targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.constraint is not None:
            self.constraint.count()
        return loss.detach()


def constraints(setting: Setting, units: int) -> Iterator[Row]:
    """A row for each way to keep the matrix orthogonal, over the plain step of the same size.

    Args:
        setting: How thoroughly.
        units: Hidden size.
    """
    steps = {
        "plain": Step(units),
        "qr": Step(units, projected=True),
        "cayley": Step(units, "cayley"),
        "matrix_exp": Step(units, "matrix_exp"),
        "householder": Step(units, "householder"),
    }
    with threads(1):
        plain, count = repeated(steps["plain"], 0.04 if setting.quick else 0.12)
        loops = {name: times(step, count) for name, step in steps.items()}
        for loop in loops.values():
            loop()
        laps = {
            name: [each.each(count) for each in found]
            for name, found in in_turn({**loops, "plain": plain}, setting.count(11, 3)).items()
        }
    for name in list(steps)[1:]:
        value = BOUNDS.get((name, units))
        bound = None if value is None else Bound("<=", value)
        yield ratio_row("cores", f"training step, n = {units}", laps, name, "plain", bound)
