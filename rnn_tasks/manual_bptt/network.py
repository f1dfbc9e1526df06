"""An Elman network that learns to write text, with all gradients derived by hand, in NumPy.

Read these equations first, then :func:`forward` and :func:`backward`: each line of code is one of the equations.
``python -m rnn_tasks.manual_bptt`` trains such a network and shows its gradients; ``--help`` lists the options.

A text is a sequence of symbols ``s_1 .. s_{T+1}``, integers with ``0 <= s_t < vocabulary``. The network reads ``s_t``
and predicts the probability of each symbol to be the next one, ``s_{t+1}``. It reads one text at a time: a state has
the shape ``(hidden,)``, without a batch.

**Forward** (Elman 1990), for ``t = 1 .. T``, from a state ``h_0``::

    x_t = one-hot(s_t), or row s_t of embedding     (input,)      input: vocabulary, or embedding_size
    a_t = W_xh x_t + W_hh h_{t-1} + b_h             (hidden,)     W_xh (hidden, input), W_hh (hidden, hidden)
    h_t = f(a_t)                                    (hidden,)     f: tanh, relu or sigmoid, element-wise
    o_t = W_hy h_t + b_y                            (vocabulary,) W_hy (vocabulary, hidden)
    p_t = exp(o_t) / sum_j exp(o_t[j])              (vocabulary,) probabilities, the softmax of o_t

**Loss**, in nats, with a weight for each step: ``w_t = 1 / T`` for the mean, ``w_t = 1`` for the sum. If only some
steps are scored, ``w_t = 0`` for the other steps, and the mean is over the scored steps::

    l_t = -log p_t[s_{t+1}]
    L   = sum_t w_t l_t

**Backward** is the chain rule, from the loss to the parameters; ``dL/dv`` has the shape of ``v``::

    1. from the loss to the outputs. l_t = log sum_j exp(o_t[j]) - o_t[s_{t+1}]; so, with y_t = one-hot(s_{t+1}),
           dL/do_t = w_t (p_t - y_t)

    2. the outputs' parameters
           dL/dW_hy = sum_t dL/do_t h_t^T
           dL/db_y  = sum_t dL/do_t

    3. through time, t = T .. 1. The loss depends on h_t in two ways: through o_t, and through a_{t+1}
           dL/dh_t = W_hy^T dL/do_t + W_hh^T dL/da_{t+1}     at t = T the second term is 0
           dL/da_t = f'(a_t) dL/dh_t                         element-wise
       f'(a_t) is a function of h_t, so a_t need not be stored:
           tanh: 1 - h_t^2       relu: 1 where h_t > 0, else 0       sigmoid: h_t (1 - h_t)
       and finally
           dL/dh_0 = W_hh^T dL/da_1

    4. the recurrent parameters
           dL/dW_hh = sum_t dL/da_t h_{t-1}^T
           dL/dW_xh = sum_t dL/da_t x_t^T
           dL/db_h  = sum_t dL/da_t

    5. the embedding: each reading of a symbol contributes to the row of the symbol
           dL/dx_t = W_xh^T dL/da_t
           dL/dembedding[s] = sum of dL/dx_t over all t with s_t = s

In step 3 gradients vanish or explode (Bengio et al. 1994): from ``t`` back to ``t - k`` a gradient is multiplied k
times by ``f'`` and ``W_hh^T``.

In the code, a variable without ``t`` contains all steps, one per row: ``x`` is ``(T, input)``, ``d_a`` contains all
``dL/da_t``, ``h`` is ``(T + 1, hidden)`` with ``h_0`` first. So ``W v_t`` for all t is ``v @ W.T``, ``W^T u_t`` is
``u @ W``, and ``sum_t u_t v_t^T`` is ``u.T @ v``: one matrix product each. Only the recurrence itself, forward and
backward, needs a loop over time.

**Truncated**: a long text is read in chunks of T steps (Williams and Peng 1990). The last state of one chunk is ``h_0``
of the next, but no gradient goes back to the previous chunk: ``h_0`` is treated as a constant.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.errors import UsageError

Array = NDArray[np.float64]
"""Real numbers, such as states, weights and gradients."""

Symbols = NDArray[np.int64]
"""The symbols of a text, as integers from 0."""

Activation = Literal["tanh", "relu", "sigmoid"]
"""The name of the activation f."""

RecurrentInit = Literal["orthogonal", "xavier", "normal"]
"""The name of a way to draw the initial recurrent matrix."""

Reduction = Literal["mean", "sum"]
"""How the losses of the steps are combined."""

ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": lambda a: 0.5 * (1 + np.tanh(0.5 * a)),  # 1 / (1 + exp(-a)), which would overflow
}
SLOPES: dict[Activation, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: (h > 0).astype(np.float64),
    "sigmoid": lambda h: h * (1 - h),
}
"""``f'(a)``, computed from ``h = f(a)``."""


# --- the network ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """The parameters, the activation, and whether W_hh is trained. Training changes the arrays in place.

    Args:
        W_xh: ``(hidden, input)``.
        W_hh: ``(hidden, hidden)``.
        W_hy: ``(vocabulary, hidden)``.
        b_h: ``(hidden,)``.
        b_y: ``(vocabulary,)``.
        embedding: ``(vocabulary, embedding_size)``, a row for each symbol; None for one-hot inputs.
        activation: f: ``tanh``, ``relu`` or ``sigmoid``.
        freeze_recurrent: Keep the initial W_hh (a reservoir). Its gradient is not computed, so it is not part of the
            norm that is clipped.

    Raises:
        UsageError: The activation is unknown.
    """

    W_xh: Array
    W_hh: Array
    W_hy: Array
    b_h: Array
    b_y: Array
    embedding: Array | None = None
    activation: Activation = "tanh"
    freeze_recurrent: bool = False

    def __post_init__(self) -> None:
        one_of(self.activation, get_args(Activation), "activation")

    @property
    def vocabulary_size(self) -> int:
        """Number of symbols."""
        return len(self.b_y)

    @property
    def hidden_size(self) -> int:
        """Number of units."""
        return len(self.b_h)

    def parameters(self) -> dict[str, Array]:
        """Return all arrays by name, without copying them."""
        arrays = {"W_xh": self.W_xh, "W_hh": self.W_hh, "W_hy": self.W_hy, "b_h": self.b_h, "b_y": self.b_y}
        return arrays if self.embedding is None else {**arrays, "embedding": self.embedding}

    def zero_state(self) -> Array:
        """Return the state before the first symbol, ``(hidden,)``."""
        return np.zeros(self.hidden_size)


def initialise(
    vocabulary_size: int,
    hidden_size: int,
    generator: np.random.Generator,
    *,
    activation: Activation = "tanh",
    recurrent_init: RecurrentInit = "orthogonal",
    embedding_size: int | None = None,
    freeze_recurrent: bool = False,
) -> Network:
    """Return a new network: W_xh and W_hy Xavier uniform, biases 0, embedding normal with standard deviation 0.1.

    Args:
        vocabulary_size: Number of symbols, ``>= 1``.
        hidden_size: Number of units, ``>= 1``.
        generator: Source of all random numbers.
        activation: f: ``tanh``, ``relu`` or ``sigmoid``.
        recurrent_init: Distribution of the initial W_hh: ``orthogonal`` (uniform over the orthogonal matrices),
            ``xavier`` (uniform), or ``normal`` with standard deviation 0.01.
        embedding_size: Size of a symbol's vector, ``>= 1``; None for one-hot inputs.
        freeze_recurrent: Keep the initial W_hh.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> network = initialise(vocabulary_size=5, hidden_size=3, generator=np.random.default_rng(0))
        >>> {name: array.shape for name, array in network.parameters().items()}
        {'W_xh': (3, 5), 'W_hh': (3, 3), 'W_hy': (5, 3), 'b_h': (3,), 'b_y': (5,)}
    """
    at_least(vocabulary_size, 1, "vocabulary_size")
    at_least(hidden_size, 1, "hidden_size")
    one_of(recurrent_init, get_args(RecurrentInit), "init of W_hh")
    if embedding_size is not None:
        at_least(embedding_size, 1, "embedding_size")
    input_size = vocabulary_size if embedding_size is None else embedding_size
    recurrent = {"orthogonal": orthogonal, "xavier": xavier_uniform, "normal": small_normal}[recurrent_init]
    return Network(
        W_xh=xavier_uniform(hidden_size, input_size, generator),
        W_hh=recurrent(hidden_size, hidden_size, generator),
        W_hy=xavier_uniform(vocabulary_size, hidden_size, generator),
        b_h=np.zeros(hidden_size),
        b_y=np.zeros(vocabulary_size),
        embedding=None if embedding_size is None else generator.normal(0, 0.1, (vocabulary_size, embedding_size)),
        activation=activation,
        freeze_recurrent=freeze_recurrent,
    )


def xavier_uniform(rows: int, columns: int, generator: np.random.Generator) -> Array:
    """Return uniform random numbers of variance ``2 / (rows + columns)`` (Glorot and Bengio 2010)."""
    bound = math.sqrt(6 / (rows + columns))
    return generator.uniform(-bound, bound, (rows, columns))


def orthogonal(rows: int, columns: int, generator: np.random.Generator) -> Array:
    """Return a random orthogonal matrix, uniformly distributed: Q of a Gaussian matrix (Mezzadri 2007)."""
    q, r = np.linalg.qr(generator.normal(size=(rows, columns)))
    result: Array = q * np.sign(np.diag(r))  # without the signs of R's diagonal, Q is not uniformly distributed
    return result


def small_normal(rows: int, columns: int, generator: np.random.Generator) -> Array:
    """Return normal random numbers with standard deviation 0.01: almost no recurrence at the start."""
    return generator.normal(0, 0.01, (rows, columns))


# --- forward and backward ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """The values of a forward pass that the backward pass needs.

    Args:
        symbols: ``s``, ``(T + 1,)``.
        x: Inputs, ``(T, input)``.
        h: States, ``(T + 1, hidden)``; the first is ``h_0``, the last is ``h_0`` of the next chunk.
        p: Probabilities of the next symbol, ``(T, vocabulary)``.
        losses: ``l``, nats, ``(T,)``, including the steps that are not scored.
        weights: ``w``, ``(T,)``.
    """

    symbols: Symbols
    x: Array
    h: Array
    p: Array
    losses: Array
    weights: Array

    @property
    def loss(self) -> float:
        """L, the loss of the chunk, nats."""
        return float(self.weights @ self.losses)

    @property
    def state(self) -> Array:
        """``h_T``, the last state, ``(hidden,)``."""
        last: Array = self.h[-1]
        return last


@dataclass(frozen=True)
class Gradients:
    """The result of a backward pass.

    Args:
        parameters: ``dL/dv`` by the name of the parameter v, in the shape of v; without W_hh if W_hh is frozen.
        h: ``dL/dh_t`` for ``t = 1 .. T``, ``(T, hidden)``: the gradient of the chunk's whole loss, through
            ``o_t`` and through all later states.
        state: ``dL/dh_0``, ``(hidden,)``. Because of the truncation, the previous chunk does not receive it.
    """

    parameters: dict[str, Array]
    h: Array
    state: Array

    @property
    def norm_by_time_step(self) -> Array:
        """The Euclidean norm of ``dL/dh_t`` for ``t = 1 .. T``, ``(T,)``."""
        return np.asarray(np.linalg.norm(self.h, axis=1))


def read(network: Network, symbols: Symbols, state: Array) -> tuple[Array, Array]:
    """Read symbols ``(T,)`` from a state ``(hidden,)``; return inputs ``(T, input)`` and states ``(T + 1, hidden)``."""
    f, W_hh = ACTIVATIONS[network.activation], network.W_hh
    x = np.eye(network.vocabulary_size)[symbols] if network.embedding is None else network.embedding[symbols]
    currents = x @ network.W_xh.T + network.b_h  # the part of a that does not depend on the previous state
    h = np.empty((len(symbols) + 1, network.hidden_size))
    h[0] = state
    for t, current in enumerate(currents, start=1):
        h[t] = f(current + W_hh @ h[t - 1])
    return x, h


def forward(
    network: Network,
    symbols: Symbols,
    state: Array | None = None,
    reduction: Reduction = "mean",
    scored: int | None = None,
) -> Trace:
    """Run the forward pass: read a chunk and compute the loss of each prediction.

    Args:
        network: The parameters.
        symbols: ``T + 1`` integers, ``T >= 1``, each ``0 <= s_t < vocabulary``; the last one is only a target.
        state: ``h_0``, ``(hidden,)``; zeros if None.
        reduction: Whether L is the ``mean`` or the ``sum`` of the scored losses.
        scored: Number of steps at the end that are scored, 1 to T; None for all.

    Raises:
        UsageError: The chunk has fewer than two symbols or a symbol outside the vocabulary, the state has the wrong
            shape, the reduction is unknown, or ``scored`` is outside its bounds.

    Example:
        >>> network = initialise(vocabulary_size=5, hidden_size=3, generator=np.random.default_rng(0))
        >>> network.W_hy[:] = 0  # so that all symbols are equally probable
        >>> trace = forward(network, np.array([0, 1, 2, 4]))
        >>> trace.h.shape, trace.p.shape, bool(np.isclose(trace.loss, np.log(5)))
        ((4, 3), (3, 5), True)
    """
    symbols = checked_symbols(symbols, network.vocabulary_size)
    if len(symbols) < 2:
        raise UsageError(f"a chunk needs at least 2 symbols, one to read and one to predict, got {len(symbols)}")
    one_of(reduction, get_args(Reduction), "reduction")
    steps = len(symbols) - 1
    count = steps if scored is None else scored
    if not 1 <= count <= steps:
        raise UsageError(f"scored must be from 1 to the {steps} steps of the chunk, got {count}")
    state = network.zero_state() if state is None else state
    if state.shape != (network.hidden_size,):
        raise UsageError(f"the shape of the state must be ({network.hidden_size},), got {state.shape}")

    x, h = read(network, symbols[:-1], state)
    o = h[1:] @ network.W_hy.T + network.b_y
    log_p = log_softmax(o)
    weights = np.zeros(steps)
    weights[steps - count :] = 1 / count if reduction == "mean" else 1.0
    return Trace(symbols, x, h, np.exp(log_p), -log_p[np.arange(steps), symbols[1:]], weights)


def log_softmax(o: Array) -> Array:
    """Return ``o - log sum_j exp(o[j])`` over the last axis."""
    shifted: Array = o - o.max(axis=-1, keepdims=True)  # exp cannot overflow, and the result is the same
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def backward(network: Network, trace: Trace) -> Gradients:
    """Run the backward pass; the comments number the equations at the top of this module.

    Args:
        network: The parameters of the forward pass.
        trace: The values of the forward pass, from :func:`forward`.

    Example:
        A small step against the gradient reduces the loss by the step size times the squared norm of the gradient.

        >>> network = initialise(vocabulary_size=5, hidden_size=3, generator=np.random.default_rng(0))
        >>> before = forward(network, np.array([0, 1, 2, 4]))
        >>> gradients = backward(network, before).parameters
        >>> for name, array in network.parameters().items():
        ...     array -= 1e-6 * gradients[name]
        >>> after = forward(network, np.array([0, 1, 2, 4]))
        >>> squared_length = sum((gradient**2).sum() for gradient in gradients.values())
        >>> bool(np.isclose(before.loss - after.loss, 1e-6 * squared_length, rtol=1e-3))
        True
    """
    steps, W_hh, h = len(trace.x), network.W_hh, trace.h
    gradients = {}

    # 1
    d_o = trace.p.copy()
    d_o[np.arange(steps), trace.symbols[1:]] -= 1
    d_o *= trace.weights[:, None]

    # 2
    gradients["W_hy"] = d_o.T @ h[1:]
    gradients["b_y"] = d_o.sum(axis=0)

    # 3
    d_h = d_o @ network.W_hy  # the term through o_t; the loop adds the term through a_{t+1}
    d_a = np.empty_like(d_h)
    slope = SLOPES[network.activation](h[1:])
    later = network.zero_state()  # W_hh^T dL/da_{t+1}
    for t in reversed(range(steps)):
        d_h[t] += later
        d_a[t] = slope[t] * d_h[t]
        later = d_a[t] @ W_hh

    # 4
    if not network.freeze_recurrent:
        gradients["W_hh"] = d_a.T @ h[:-1]
    gradients["W_xh"] = d_a.T @ trace.x
    gradients["b_h"] = d_a.sum(axis=0)

    # 5
    if network.embedding is not None:
        d_x = d_a @ network.W_xh
        gradients["embedding"] = np.zeros_like(network.embedding)
        np.add.at(
            gradients["embedding"], trace.symbols[:-1], d_x
        )  # += would count a symbol that occurs twice only once

    return Gradients(gradients, d_h, later)


# --- checks -----------------------------------------------------------------------------------------------------------


def checked_symbols(symbols: Symbols, vocabulary_size: int) -> Symbols:
    """Return ``symbols`` if they are a one-dimensional array of integers in the vocabulary; it may be empty."""
    symbols = np.asarray(symbols)
    if symbols.ndim != 1 or (len(symbols) and symbols.dtype.kind not in "iu"):
        raise UsageError(
            f"symbols must be a one-dimensional array of integers, got {symbols.dtype} of shape {symbols.shape}"
        )
    # NumPy would silently count a negative index from the end.
    if len(symbols) and not (symbols.min() >= 0 and symbols.max() < vocabulary_size):
        wrong = symbols[(symbols < 0) | (symbols >= vocabulary_size)][0]
        raise UsageError(f"symbols must be from 0 to {vocabulary_size - 1} (the vocabulary), got {wrong}")
    return symbols


def one_of(value: str, values: Sequence[str], name: str) -> None:
    """Raise a UsageError unless a value is one of the allowed values."""
    if value not in values:
        raise UsageError(f"{name} must be one of {', '.join(values)}, got {value!r}")


def at_least(value: int, bound: int, name: str) -> None:
    """Raise a UsageError unless a value is at least ``bound``."""
    if value < bound:
        raise UsageError(f"{name} must be at least {bound}, got {value}")
