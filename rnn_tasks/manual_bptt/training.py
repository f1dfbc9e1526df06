"""Training by truncated backpropagation through time; evaluation, sampling and diagnostics."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np

from rnn_tasks.errors import DivergedError, UsageError
from rnn_tasks.manual_bptt.network import (
    Array,
    Network,
    Reduction,
    Symbols,
    at_least,
    backward,
    checked_symbols,
    forward,
    log_softmax,
    one_of,
    read,
)

# --- learning ---------------------------------------------------------------------------------------------------------


def clip(gradients: Mapping[str, Array], max_norm: float) -> tuple[float, float]:
    """Scale the gradient of all arrays together to a norm of at most ``max_norm`` (Pascanu et al. 2013).

    Args:
        gradients: Arrays by name; scaled in place.
        max_norm: Largest Euclidean norm, ``> 0``; ``math.inf`` does not clip.

    Returns:
        The norm before clipping, and the factor, which is 1 if the gradient was not clipped.

    Example:
        >>> gradients = {"W_hh": np.array([[3.0]]), "b_h": np.array([4.0])}
        >>> norm, factor = clip(gradients, max_norm=1.0)
        >>> f"{norm} {factor:.4f} {gradients['b_h'][0]:.4f}"
        '5.0 0.2000 0.8000'
    """
    norm = math.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients.values()))
    factor = min(1.0, max_norm / (norm + 1e-6))  # 1e-6: as in torch.nn.utils.clip_grad_norm_
    if factor < 1:
        for gradient in gradients.values():
            gradient *= factor
    return norm, factor


def sgd(
    parameters: Mapping[str, Array],
    gradients: Mapping[str, Array],
    velocities: dict[str, Array],
    lr: float,
    momentum: float = 0.0,
) -> None:
    """Update the parameters in place, like ``torch.optim.SGD``: ``v = momentum v + g``, then ``w -= lr v``.

    Args:
        parameters: w, by name. Parameters without a gradient are not changed.
        gradients: g, by name.
        velocities: v, by name; empty before the first step, updated in place.
        lr: Learning rate.
        momentum: Factor on v of the previous step.
    """
    for name, gradient in gradients.items():
        velocities[name] = momentum * velocities[name] + gradient if name in velocities else gradient.copy()
        parameters[name][...] -= lr * velocities[name]


def step_decay(lr: float, rate: float, every: int, step: int) -> float:
    """Return the learning rate at a step, counted from 0: ``lr`` times ``rate`` for each ``every`` steps before it.

    Example:
        >>> [step_decay(1.0, rate=0.5, every=2, step=step) for step in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return lr * rate ** (step // every)


@dataclass(frozen=True)
class Settings:
    """Settings of the training.

    Args:
        lr: Learning rate of the first step, ``> 0``.
        sequence_length: T, the steps of a chunk, through which gradients are propagated, ``>= 1``.
        reduction: Loss of a chunk: the ``mean`` or the ``sum`` of the losses of its steps. The gradient of the sum is T
            times as large, so ``lr`` and ``clip`` depend on the reduction.
        momentum: Momentum of gradient descent, ``0 <= momentum < 1``.
        decay_rate: Factor on the learning rate after each ``decay_every`` steps, ``0 < decay_rate <= 1``.
        decay_every: Steps between two decays, ``>= 1``.
        clip: Largest norm of the gradient, ``> 0``; ``math.inf`` does not clip.

    Raises:
        UsageError: A value is outside its bounds.
    """

    lr: float
    sequence_length: int = 25
    reduction: Reduction = "mean"
    momentum: float = 0.0
    decay_rate: float = 1.0
    decay_every: int = 1000
    clip: float = 5.0

    def __post_init__(self) -> None:
        one_of(self.reduction, get_args(Reduction), "reduction")
        at_least(self.sequence_length, 1, "sequence_length")
        at_least(self.decay_every, 1, "decay_every")
        # these conditions are false for nan
        if not 0 < self.lr < math.inf:
            raise UsageError(f"lr must be above 0 and finite, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0 < self.decay_rate <= 1:
            raise UsageError(f"decay_rate must be above 0 and at most 1, got {self.decay_rate}")
        if not self.clip > 0:
            raise UsageError(f"clip must be above 0 (inf for no clipping), got {self.clip}")


@dataclass(frozen=True)
class Step:
    """The record of one training step.

    Args:
        loss: Mean loss of the chunk before the step, nats per symbol, whatever the reduction.
        gradient_norm: Norm of the gradient of all trained parameters, before clipping.
        clipped: Whether the gradient was clipped.
        norm_by_time_step: Norm of ``dL/dh_t`` for each t of the chunk, before clipping, ``(sequence_length,)``.
        lr: Learning rate of the step.
        reset: Whether the chunk is the first of the text, read from a state of zeros.
    """

    loss: float
    gradient_norm: float
    clipped: bool
    norm_by_time_step: Array
    lr: float
    reset: bool


def train(network: Network, symbols: Symbols, settings: Settings) -> Iterator[Step]:
    """Train by truncated backpropagation through time, one step for each item of the iterator.

    Chunks are consecutive, and the state is carried from each to the next. When the rest of the text is too short for a
    chunk, training continues at the start of the text, from a state of zeros.

    Args:
        network: Changed in place.
        symbols: The text, at least ``sequence_length + 1`` symbols.
        settings: The settings of the training.

    Yields:
        The record of each step, after the step, without end.

    Raises:
        UsageError: At the first step, if the text is too short for one chunk or has symbols outside the vocabulary.
        DivergedError: A gradient is not finite; this step has not changed the parameters.

    Example:
        >>> from rnn_tasks.manual_bptt import initialise
        >>> network = initialise(vocabulary_size=3, hidden_size=8, generator=np.random.default_rng(0))
        >>> steps = train(network, np.array([0, 1, 2] * 20), Settings(lr=0.5, sequence_length=6))
        >>> losses = [next(steps).loss for _ in range(100)]
        >>> losses[0] > 1 > 0.1 > losses[-1]
        True
    """
    symbols = checked_symbols(symbols, network.vocabulary_size)
    velocities: dict[str, Array] = {}
    state = network.zero_state()
    for step, (chunk, reset) in enumerate(chunks(symbols, settings.sequence_length)):
        with np.errstate(over="ignore", invalid="ignore"):  # reported below as DivergedError
            trace = forward(network, chunk, network.zero_state() if reset else state, settings.reduction)
            gradients = backward(network, trace)
            norm_by_time_step = gradients.norm_by_time_step
            norm, factor = clip(gradients.parameters, settings.clip)
        # With dead ReLUs, one of the two norms may be finite and the other not.
        if not (math.isfinite(norm) and np.isfinite(norm_by_time_step).all()):
            raise DivergedError(f"the gradient of step {step + 1:,} is not finite; use a smaller lr or a smaller clip")
        lr = step_decay(settings.lr, settings.decay_rate, settings.decay_every, step)
        sgd(network.parameters(), gradients.parameters, velocities, lr, settings.momentum)
        state = trace.state
        yield Step(float(trace.losses.mean()), norm, factor < 1, norm_by_time_step, lr, reset)


def chunks(symbols: Symbols, sequence_length: int) -> Iterator[tuple[Symbols, bool]]:
    """Yield pairs without end: a chunk of ``sequence_length + 1`` symbols, and whether it is the first of the text.

    The last symbol of a chunk, its last target, is also the first input of the next chunk.

    Raises:
        UsageError: The text is too short for one chunk.
    """
    if len(symbols) <= sequence_length:
        raise UsageError(
            f"the text has {len(symbols)} symbols, too few for a chunk of {sequence_length} steps, "
            f"which needs {sequence_length + 1}"
        )
    while True:
        for start in range(0, len(symbols) - sequence_length, sequence_length):
            yield symbols[start : start + sequence_length + 1], start == 0


def evaluate(network: Network, symbols: Symbols) -> float:
    """Return the mean loss over a whole text, in nats per symbol, from a state of zeros.

    Raises:
        UsageError: The text has fewer than two symbols, or symbols outside the vocabulary.
        DivergedError: The loss is not finite.

    Example:
        >>> from rnn_tasks.manual_bptt import initialise
        >>> network = initialise(vocabulary_size=5, hidden_size=3, generator=np.random.default_rng(0))
        >>> text = np.arange(2500) % 5
        >>> bool(np.isclose(evaluate(network, text), forward(network, text).loss))
        True
    """
    size, total, state = 1000, 0.0, network.zero_state()  # in pieces, so that memory does not grow with the text
    for start in range(0, max(len(symbols) - 1, 1), size):
        with np.errstate(over="ignore", invalid="ignore"):  # reported below as DivergedError
            trace = forward(network, symbols[start : start + size + 1], state, "sum")
        total, state = total + trace.loss, trace.state
    if not math.isfinite(total):
        raise DivergedError("the loss is not finite; use a smaller lr or a smaller clip")
    return total / (len(symbols) - 1)


# --- sampling and diagnostics -----------------------------------------------------------------------------------------


def sample(
    network: Network, prefix: Symbols, length: int, generator: np.random.Generator, temperature: float = 1.0
) -> Symbols:
    """Continue a prefix: repeatedly draw a symbol from ``softmax(o_t / temperature)`` and read it.

    Args:
        network: The parameters.
        prefix: Symbols to read first, at least one, from a state of zeros.
        length: Number of symbols to draw, ``>= 0``.
        generator: Source of the random numbers.
        temperature: ``>= 0``. Below 1, probable symbols become more probable. At 0, the most probable symbol is taken
            and no random number is drawn.

    Returns:
        The drawn symbols, ``(length,)``, without the prefix.

    Raises:
        UsageError: A value is outside its bounds, the prefix is empty, or a symbol is outside the vocabulary.

    Example:
        >>> from rnn_tasks.manual_bptt import initialise
        >>> network = initialise(vocabulary_size=5, hidden_size=3, generator=np.random.default_rng(0))
        >>> sample(network, np.array([1, 2]), length=8, generator=np.random.default_rng(1)).shape
        (8,)
    """
    if not temperature >= 0:  # true for nan as well
        raise UsageError(f"temperature must be at least 0, got {temperature}")
    at_least(length, 0, "length")
    prefix = checked_symbols(prefix, network.vocabulary_size)
    if not len(prefix):
        raise UsageError("the prefix is empty; give at least one symbol")
    state = read(network, prefix, network.zero_state())[1][-1]
    written = np.empty(length, dtype=np.int64)
    for i in range(length):
        o = network.W_hy @ state + network.b_y
        if temperature == 0:
            written[i] = o.argmax()
        else:
            with np.errstate(over="ignore"):  # at a tiny temperature; then exp(-inf) = 0 is correct
                p = np.exp(log_softmax((o - o.max()) / temperature))
            written[i] = generator.choice(len(p), p=p)
        state = read(network, written[i : i + 1], state)[1][-1]
    return written


def last_loss_by_time_step(network: Network, symbols: Symbols, sequence_length: int) -> Array:
    """Return the norm of ``dl_T/dh_t``, the gradient of a chunk's last loss, averaged over the chunks of a text.

    If all steps are scored, each ``dL/dh_t`` contains the gradient of ``l_t`` itself, which hides how much of the
    gradient of later losses has vanished. Here only the last step is scored: the whole gradient comes from that step.

    Args:
        network: The parameters.
        symbols: The text, at least ``sequence_length + 1`` symbols; the state is carried from chunk to chunk.
        sequence_length: T, the steps of a chunk.

    Returns:
        Norms for ``t = 1 .. T``, ``(sequence_length,)``.

    Raises:
        UsageError: The text is too short for one chunk, or has symbols outside the vocabulary.
    """
    norms: list[Array] = []
    state = network.zero_state()
    for chunk, first in chunks(symbols, sequence_length):
        if first and norms:
            break
        trace = forward(network, chunk, state, scored=1)
        with np.errstate(over="ignore"):  # then the norm is inf
            norms.append(backward(network, trace).norm_by_time_step)
        state = trace.state
    return np.asarray(np.mean(norms, axis=0))


def spectral_radius(weight: Array) -> float:
    """Return the largest absolute eigenvalue of a square matrix.

    Example:
        >>> round(spectral_radius(np.array([[0.0, 2.0], [-2.0, 0.0]])), 6)
        2.0
    """
    return float(np.abs(np.linalg.eigvals(weight)).max())


def unigram_entropy(symbols: Symbols) -> float:
    """Return the loss of a predictor that knows only the frequencies of the symbols, in nats per symbol.

    Example:
        >>> f"{unigram_entropy(np.array([0, 1, 1, 0])):.4f}"
        '0.6931'
    """
    counts = np.bincount(symbols)
    share = counts[counts > 0] / len(symbols)
    return float(-(share * np.log(share)).sum())


def encode(text: str, characters: str) -> Symbols:
    """Return the index of each character of a text in ``characters``, the vocabulary.

    Raises:
        UsageError: A character is not in the vocabulary.

    Example:
        >>> encode("cab", "abc")
        array([2, 0, 1])
    """
    indices = {character: index for index, character in enumerate(characters)}
    unknown = sorted(set(text) - set(characters))
    if unknown:
        raise UsageError(f"not in the vocabulary: {', '.join(map(repr, unknown))}")
    return np.array([indices[character] for character in text], dtype=np.int64)


def decode(symbols: Symbols, characters: str) -> str:
    """Return the text of a sequence of symbols, the inverse of :func:`encode`.

    Example:
        >>> decode(np.array([2, 0, 1]), "abc")
        'cab'
    """
    return "".join(characters[symbol] for symbol in symbols)
