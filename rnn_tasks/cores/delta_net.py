"""DeltaNet and its relatives: layers that write values into a matrix, and read them by keys."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores.bounds import at_least_1, multiple_of_heads
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.linear_scan import at_least_single
from rnn_tasks.cores.matrix_scan import matrix_scan, step_eigenvalues
from rnn_tasks.cores.state import State
from rnn_tasks.cores.window import last_inputs
from rnn_tasks.errors import UsageError


class DeltaNet(Core):
    """The delta rule: each step replaces what a matrix S returns for a key. Options give its relatives.

    Each head has a matrix S, ``(p, p)`` with ``p = hidden_size / heads``. At step t, with u the last ``window`` inputs:

    - ``q = unit(silu(W_q u))``, ``k = unit(silu(W_k u))`` and ``v = silu(W_v u)``, the query, the key and the value,
      where ``silu(x) = x sigmoid(x)`` and ``unit(x) = x / sqrt(|x|^2 + 1e-6)``
    - ``beta = max_beta * sigmoid(w_beta u)``, the strength of the write
    - ``S_t = a S_{t-1} + beta k (v - a S_{t-1}^T k)^T``, where the decay a is 1 unless ``decay`` is given
    - ``o = S_t^T q / sqrt(p)``, what the head reads; the output is ``W_o`` times ``g * o / sqrt(mean(o^2) + 1e-6)`` of
      all heads, one below the other, with trained factors g, ``(p,)``; ``*`` is elementwise

    A step multiplies S by ``a (I - beta k k^T)``, with the eigenvalues a and ``a (1 - beta |k|^2)``.

    - Default: DeltaNet, Schlag et al. 2021, https://arxiv.org/abs/2102.11174; in this form Yang et al. 2024,
      https://arxiv.org/abs/2406.06484. ``max_beta=2`` (parity needs the eigenvalue -1): Grazzi et al. 2025,
      https://arxiv.org/abs/2411.12537
    - ``decay="learned"``: Gated DeltaNet, ``a = exp(-exp(log_rate) softplus(w_a u + rate_bias))``, Yang et al. 2025,
      https://arxiv.org/abs/2412.06464
    - ``products=n``: DeltaProduct, n writes per step, each with its own k, v and beta, Siems et al. 2025,
      https://arxiv.org/abs/2502.10297
    - ``delta=False``: linear attention, ``S_t = a S_{t-1} + k v^T``, Katharopoulos et al. 2020,
      https://arxiv.org/abs/2006.16236, with the same normalisation of o. With ``decay="fixed"``, ``a = 1 - 2^(-5 - i)``
      for head i = 0, 1, ...: RetNet without its rotations, Sun et al. 2023, https://arxiv.org/abs/2307.08621

    The state is S, ``(batch, heads, p, p)``, and the last inputs, ``(batch, (window - 1) * input_size)``.

    Parameters: ``query``, ``key``, ``value``, ``beta``, ``rate`` and ``output`` hold ``W_q``, ``W_k``, ``W_v``, the
    ``w_beta`` and ``w_a`` of all heads, and ``W_o``, with the initial values of ``torch.nn.Linear`` and no biases.
    Their rows are ordered by write, then by head. ``norm`` holds g, initially 1. ``log_rate`` and ``rate_bias
    (heads,)`` start such that ``exp(log_rate)`` is uniform between 0 and 16, and ``softplus(rate_bias)`` log-uniform
    between 0.001 and 0.1, as in the authors' code.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, a multiple of ``heads``.
        heads: Number of matrices, ``>= 1``.
        window: Number of inputs that keys, queries and values read, ``>= 1``: that of the step and those before it.
            Binding a value to the key one step before needs 2, unless the layer is in a block.
        max_beta: Largest strength of a write, ``> 0`` and ``<= 2``.
        decay: Factor on the matrix at each step: ``learned`` from the input, ``fixed``, or None for 1.
        products: Number of writes per step, ``>= 1``.
        delta: Whether a write replaces what the matrix returns for its key. Otherwise it adds, with the strength 1.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, (matrix, inputs) = DeltaNet(input_size=3, hidden_size=8, heads=2)(torch.zeros(5, 7, 3))
        >>> outputs.shape, matrix.shape, inputs.shape
        (torch.Size([5, 7, 8]), torch.Size([5, 2, 4, 4]), torch.Size([5, 3]))
    """

    recurrent_names = ("log_rate", "rate_bias")
    input_names = ("query", "key", "value", "beta", "rate")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        heads: int = 1,
        window: int = 2,
        max_beta: float = 1.0,
        decay: Literal["learned", "fixed"] | None = None,
        products: int = 1,
        delta: bool = True,
    ) -> None:
        super().__init__()
        if not 0 < max_beta <= 2:
            raise UsageError(f"max_beta must be above 0 and at most 2, got {max_beta}")
        if decay not in (None, "learned", "fixed"):
            raise UsageError(f"decay must be null, learned or fixed, got {decay}")
        self.input_size, self.hidden_size = input_size, multiple_of_heads(hidden_size, heads)
        self.window = at_least_1(window, "window")
        self.heads, self.head_size = heads, hidden_size // heads
        self.max_beta, self.decay, self.delta = max_beta, decay, delta
        writes, features = at_least_1(products, "products"), window * input_size
        self.query = nn.Linear(features, hidden_size, bias=False)
        self.key = nn.Linear(features, writes * hidden_size, bias=False)
        self.value = nn.Linear(features, writes * hidden_size, bias=False)
        self.beta = nn.Linear(features, writes * heads, bias=False) if delta else None
        self.rate = nn.Linear(features, heads, bias=False) if decay == "learned" else None
        if decay == "learned":
            step = torch.exp(torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)))
            self.log_rate = nn.Parameter(torch.log(16 - 16 * torch.rand(heads)))
            self.rate_bias = nn.Parameter(torch.log(torch.expm1(step)))  # softplus(rate_bias) = step
        self.norm = nn.RMSNorm(self.head_size, eps=1e-6)
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)

    def input_weights(self) -> list[Tensor]:
        """Return the matrices that multiply x_t, and those that multiply earlier inputs."""
        layers = (self.query, self.key, self.value, self.beta, self.rate)
        return [part for layer in layers if layer is not None for part in layer.weight.chunk(self.window, 1)]

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        matrix, past = (None, None) if state is None else state
        features, past = last_inputs(inputs, past, self.window)
        query = unit(self._by_head(self.query(features)), 1 / math.sqrt(self.head_size))
        key, beta, log_decay = self._transition(features)
        value = self._by_head(self.value(features))
        outputs, matrix = matrix_scan(query, key, value, matrix, beta, log_decay, self.delta)
        return self.output(self.norm(outputs).flatten(2).to(inputs.dtype)), (matrix, past)

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the eigenvalues of what multiplies S at each step, ``(batch, time, hidden_size)``: p for each head."""
        features, _ = last_inputs(inputs, None, self.window)
        values = step_eigenvalues(*self._transition(features), inputs.shape[1])
        return {"transition": as_eigenvalues(values.flatten(2))}

    def _transition(self, features: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return what multiplies S: k ``(batch, time * products, heads, p)``, beta and the logarithm of a."""
        key, beta, log_decay = unit(self._by_head(self.key(features))), None, None
        if self.beta is not None:
            beta = self.max_beta * torch.sigmoid(at_least_single(self.beta(features))).view(key.shape[:3])
        if self.rate is not None:
            log_decay = -torch.exp(self.log_rate) * functional.softplus(self.rate(features) + self.rate_bias)
        elif self.decay == "fixed":
            exponents = torch.arange(5, 5 + self.heads, dtype=key.dtype, device=key.device)
            log_decay = torch.log1p(-(2**-exponents)).expand(*features.shape[:2], -1)
        return key, beta, log_decay

    def _by_head(self, values: Tensor) -> Tensor:
        """Apply silu, and split ``(batch, time, ...)`` into ``(batch, time * products, heads, p)``.

        In single precision: with a key that is rounded to half precision, a write of strength 2 could let S grow.
        """
        batch, time, features = values.shape
        products = features // self.hidden_size
        return functional.silu(at_least_single(values)).view(batch, time * products, self.heads, self.head_size)


def unit(vectors: Tensor, length: float = 1.0) -> Tensor:
    """Scale vectors to a length; vectors much shorter than 0.001 go to 0."""
    return vectors * (length * torch.rsqrt(vectors.square().sum(-1, keepdim=True) + 1e-6))
