"""A residual block around a recurrent layer."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores.bounds import at_least_0_below_1, at_least_1
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.state import State
from rnn_tasks.errors import UsageError


class Block(nn.Module):
    """A residual block around a recurrent layer: ``y = x + dropout(GLU(W GELU(layer(SiLU(conv(norm(x)))))))``.

    ``norm`` is a layer normalisation. ``conv`` mixes the last ``kernel_size`` steps of each feature by itself: it is
    causal and depthwise. Before the first step, it reads zeros. ``GLU`` multiplies one half of the product with W by
    the sigmoid of the other half. The state is ``(last steps, state of the layer)``; the last steps are the inputs that
    the convolution still needs, ``(batch, (kernel_size - 1) * size)``.

    Parameters: ``norm``, ``conv``, the layer's own in ``core``, and ``gate``, which holds W, ``(2 * size, size)``, and
    a bias; all start as in torch.

    Sources: the order of the parts is that of A. Orvieto et al., "Resurrecting recurrent neural networks for long
    sequences", 2023, https://arxiv.org/abs/2303.06349; the convolution is that of A. Gu and T. Dao, "Mamba: linear-time
    sequence modeling with selective state spaces", 2023, https://arxiv.org/abs/2312.00752

    Args:
        size: Features of the input and of the output per time step, ``>= 1``.
        core: Function that builds the layer from the sizes of its input and of its output, which are both ``size``.
        kernel_size: Number of steps that the convolution mixes, ``>= 1``; 1 only scales each feature.
        dropout: Dropout probability before the skip connection, in training, ``0 <= dropout < 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> from rnn_tasks.cores import GRU
        >>> Block(4, GRU)(torch.zeros(2, 7, 4))[0].shape
        torch.Size([2, 7, 4])
    """

    def __init__(self, size: int, core: Callable[[int, int], Core], kernel_size: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.conv = nn.Conv1d(size, size, at_least_1(kernel_size, "kernel_size"), groups=size)
        try:
            self.core = core(size, size)
        except UsageError as error:
            raise UsageError(f"in the layer of a block, {error}") from error
        self.gate = nn.Linear(self.core.hidden_size, 2 * size)
        self.dropout = nn.Dropout(at_least_0_below_1(dropout, "dropout"))

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the block over sequences ``(batch, time, size)``; return the outputs and the state."""
        last_steps, core_state = (None, None) if state is None else state
        features, last_steps = self.core_inputs(inputs, last_steps)
        hidden, core_state = self.core(features, core_state)
        update = functional.glu(self.gate(functional.gelu(hidden)), -1)
        return inputs + self.dropout(update), (last_steps, core_state)

    def core_inputs(self, inputs: Tensor, last_steps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what the layer reads, ``(batch, time, size)``, and the last steps for the next call."""
        by_feature = self.norm(inputs).transpose(1, 2)
        batch, size, _ = by_feature.shape
        kept = self.conv.kernel_size[0] - 1
        if last_steps is None:
            last_steps = by_feature.new_zeros(batch, size * kept)
        padded = by_feature.contiguous()
        if kept:
            padded = torch.cat([last_steps.view(batch, size, kept).to(by_feature.dtype), by_feature], 2)
        last_steps = padded[:, :, padded.shape[2] - kept :].flatten(1)
        return functional.silu(self.conv(padded)).transpose(1, 2), last_steps
