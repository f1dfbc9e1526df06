"""Several residual blocks, each around a recurrent layer of one kind."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rnn_tasks.cores.block import Block
from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.cores.state import State


class Blocks(Core):
    """A linear embedding ``W x + b``, then blocks of one kind of layer (:class:`Block`), then a layer normalisation.

    The state is a tuple of the states of the blocks. Parameters: ``embedding`` holds W and b; ``blocks``; ``norm``. All
    start as in torch, those of the layers as the layers define. Sources: see :class:`~rnn_tasks.cores.block.Block`.

    Args:
        input_size: Features per time step.
        hidden_size: Features of each block and of the output, ``>= 1``.
        core: Function that builds the layer of a block from the sizes of its input and of its output. In YAML: the
            class of the layer and its options, without ``hidden_size``.
        depth: Number of blocks, ``>= 1``.
        kernel_size: Number of steps that the convolution of a block mixes, ``>= 1``; 1 only scales each feature.
        dropout: Dropout probability before each skip connection, in training, ``0 <= dropout < 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> from rnn_tasks.cores import GRU
        >>> outputs, state = Blocks(3, 4, GRU, depth=2)(torch.zeros(2, 7, 3))
        >>> outputs.shape, len(state)
        (torch.Size([2, 7, 4]), 2)
    """

    blocks: Sequence[Block]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        core: Callable[[int, int], Core],
        depth: int = 2,
        kernel_size: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.embedding = nn.Linear(input_size, hidden_size)
        blocks = [Block(hidden_size, core, kernel_size, dropout) for _ in range(at_least_1(depth, "depth"))]
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]  # torch's list is no Sequence
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the blocks over a batch of sequences."""
        features, ends = self.embedding(inputs), []
        for block, start in zip(self.blocks, [None] * len(self.blocks) if state is None else state, strict=True):
            features, end = block(features, start)
            ends.append(end)
        return self.norm(features), tuple(ends)

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the square matrices of the layers of all blocks, such as ``block_0/weight_hh_l0``."""
        cores = enumerate(block.core for block in self.blocks)
        return {f"block_{i}/{name}": weight for i, core in cores for name, weight in core.recurrent_weights().items()}

    def input_weights(self) -> list[Tensor]:
        """Return the matrix of the embedding, ``(hidden_size, input_size)``."""
        return [self.embedding.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the eigenvalues of the layers of all blocks, with the number of the block before the name."""
        values: dict[str, Tensor] = {}
        with torch.no_grad(), evaluation_mode(self):
            features = self.embedding(inputs)
            for i, block in enumerate(self.blocks):
                core_values = block.core.eigenvalues(block.core_inputs(features)[0])
                values |= {f"block_{i}/{name}": numbers for name, numbers in core_values.items()}
                features, _ = block(features)
        return values

    def parameter_role(self, name: str) -> str:
        """Return ``input`` for the embedding, a layer's own role for its parameters, and ``rest`` for all others."""
        part, _, rest = name.partition(".")
        if part == "embedding":
            return "input"
        number, _, name_in_block = rest.partition(".")
        if part != "blocks" or not name_in_block.startswith("core."):
            return "rest"
        return self.blocks[int(number)].core.parameter_role(name_in_block.removeprefix("core."))
