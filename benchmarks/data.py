"""Speed of the tasks' generators relative to code that makes one sequence at a time."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch.utils.data import DataLoader

from benchmarks.peers.samples import CopySamples, EchoSamples
from benchmarks.table import Row
from benchmarks.timing import interleaved, ratio_row, torch_timer
from rnn_tasks.tasks import Copy, Echo, VariableDelayEcho

COUNT = 1_280
"""Number of sequences that a peer makes in a round."""

PEERS: dict[str, tuple[Any, Any, int]] = {
    "copy": (Copy, CopySamples(COUNT), 128),
    "echo": (Echo, EchoSamples(COUNT, 15, (4, 4)), 64),
    "variable_delay_echo": (VariableDelayEcho, EchoSamples(COUNT, 20, (0, 8)), 64),
}
"""By name: the task, the samples of the published recipe, and the batch size of the recipe."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield two rows for each task: large batches, where constant costs matter little, and the recipe's batch size."""
    for name, (task, samples, recipe_size) in PEERS.items():
        published = torch_timer(partial(list, DataLoader(samples, recipe_size, shuffle=name == "copy")))
        for size, bound in ((4_096, 50), (recipe_size, None)):
            ours = torch_timer(partial(next, iter(task(batch_size=size).train_dataloader())))
            measured = interleaved({"recipe": published, "ours": ours}, 2 if quick else 8)
            sequences = {"recipe": COUNT, "ours": size}
            seconds = {side: [each / sequences[side] for each in rounds] for side, rounds in measured.items()}
            yield ratio_row("data", f"{name}, {size:,} at a time", seconds, "recipe", "ours", at_least=bound)
