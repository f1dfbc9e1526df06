"""The Elman layer relative to torch's, forward and backward, and the cost of orthogonal recurrent matrices per step."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.table import Row
from benchmarks.timing import interleaved, ratio_row, torch_timer
from rnn_tasks.callbacks.reorthogonalize import orthogonal_factor
from rnn_tasks.cores import Core, Elman

SIZES = ((128, 21, 128, 10), (512, 35, 32, 28), (256, 35, 32, 28), (128, 220, 128, 10), (64, 25, 1, 24))
"""Hidden size, length, batch size and input size of: copy, two networks on text, a long copy, elman_grammar."""

CONSTRAINTS = {"qr": 1.15, "cayley": 1.5, "matrix_exp": 1.5, "householder": None}
"""By constraint: upper bound on the ratio of a step with the constraint to a step without it, at 128 units."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield the rows of layers, with one and with two threads, and the rows of constraints."""
    for num_threads in (1, 2):
        medians = []
        for size in SIZES:
            timers = {name: torch_timer(work, num_threads) for name, work in layer_passes(*size).items()}
            seconds = interleaved(timers, 4 if quick else 14)
            case = "hidden {}, length {}, batch {}, threads {}".format(*size[:3], num_threads)
            row = ratio_row("cores", case, seconds, "torch", "ours", at_least=0.95)
            medians.append(row.median or 0.0)
            yield row
        fast_sizes = sum(median >= 1.2 for median in medians)
        quantity = f"number of {len(SIZES)} sizes with torch / ours >= 1.2"
        yield Row("cores", f"threads {num_threads}", quantity, (fast_sizes,), at_least=4)
    for units in (128,) if quick else (16, 64, 128, 256):
        steps = {"free": Step(units), **{name: Step(units, name) for name in CONSTRAINTS}}
        seconds = interleaved({name: torch_timer(step) for name, step in steps.items()}, 4 if quick else 10)
        for name, bound in CONSTRAINTS.items():
            at_most = bound if units == 128 else None
            yield ratio_row("cores", f"step, {units} units", seconds, name, "free", at_most=at_most)


def layer_passes(units: int, length: int, batch: int, features: int) -> dict[str, Callable[[], object]]:
    """Return functions that run both passes of ``ours`` and ``torch``, with equal weights and equal one-hot inputs."""
    ours, theirs = Elman(features, units), nn.RNN(features, units, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    inputs = functional.one_hot(torch.randint(features, (batch, length)), features).float()
    gradient = torch.randn(batch, length, units)

    def run(layer: nn.Module) -> tuple[Tensor, list[Tensor | None]]:
        layer.zero_grad()
        outputs: Tensor = layer(inputs)[0]
        outputs.backward(gradient)  # type: ignore[no-untyped-call]
        return outputs, [parameter.grad for parameter in layer.parameters()]

    return {"ours": lambda: run(ours), "torch": lambda: run(theirs)}


@torch.no_grad()
def project(core: Core) -> None:
    """Project the recurrent matrices of a layer onto orthogonal matrices."""
    for matrix in core.recurrent_weights().values():
        matrix.copy_(orthogonal_factor(matrix))


class Step:
    """A training step of an Elman layer with a readout: forward, loss, backward, Adam; batch 128, length 21.

    Args:
        units: Hidden size.
        constraint: A parametrization of the recurrent matrix, or ``qr`` to project it onto an orthogonal matrix after
            each step; None for no constraint.
    """

    def __init__(self, units: int, constraint: str | None = None) -> None:
        self.projected = constraint == "qr"
        self.layer = Elman(10, units, orthogonal_map=None if self.projected else constraint)  # type: ignore[arg-type]
        self.readout = nn.Linear(units, 9)
        self.optimizer = torch.optim.Adam([*self.layer.parameters(), *self.readout.parameters()], lr=1e-4)
        self.inputs = functional.one_hot(torch.randint(10, (128, 21)), 10).float()
        self.targets = torch.randint(9, (128 * 21,))

    def __call__(self) -> Tensor:
        """Train for one step and return the loss."""
        hidden, _ = self.layer(self.inputs)
        loss = functional.cross_entropy(self.readout(hidden).flatten(0, 1), self.targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.projected:
            project(self.layer)
        return loss.detach()
