import math
import subprocess
import sys
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.errors import DivergedError, UsageError
from rnn_tasks.manual_bptt import (
    Activation,
    Array,
    Network,
    RecurrentInit,
    Reduction,
    Settings,
    Step,
    Symbols,
    backward,
    chunks,
    clip,
    decode,
    encode,
    evaluate,
    forward,
    initialise,
    last_loss_by_time_step,
    sample,
    spectral_radius,
    train,
    unigram_entropy,
)
from rnn_tasks.manual_bptt.__main__ import gradient_picture, main
from rnn_tasks.texts.grammar import ELMAN

VOCABULARY, HIDDEN, STEPS = 6, 7, 9
MAX_NORM = 0.05  # below the norm of every gradient here
SYMBOLS = np.array([1, 3, 3, 0, 5, 1, 3, 2, 4, 5])  # some symbols occur more than once
TORCH_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}
each_activation = pytest.mark.parametrize("activation", TORCH_ACTIVATIONS)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum"])
each_input = pytest.mark.parametrize("embedding_size", [None, 4])


def random_network(
    activation: Activation = "tanh", embedding_size: int | None = None, freeze_recurrent: bool = False, seed: int = 0
) -> Network:
    """Return a network with large biases and embeddings, so that errors in their gradients show."""
    generator = np.random.default_rng(seed)
    network = initialise(
        VOCABULARY,
        HIDDEN,
        generator,
        activation=activation,
        embedding_size=embedding_size,
        freeze_recurrent=freeze_recurrent,
    )
    for name in ("b_h", "b_y", "embedding"):
        if name in network.parameters():
            network.parameters()[name][...] = generator.normal(size=network.parameters()[name].shape)
    return network


def torch_weights(network: Network) -> dict[str, Tensor]:
    """Return copies of the parameters as tensors; a frozen W_hh requires no gradient."""
    return {
        name: torch.tensor(array, requires_grad=not (name == "W_hh" and network.freeze_recurrent))
        for name, array in network.parameters().items()
    }


def torch_states(
    weights: dict[str, Tensor], activation: Activation, symbols: Symbols, state: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return the losses of a chunk and its states h_1 .. h_T, computed by torch step by step."""
    read, targets = torch.tensor(symbols[:-1]), torch.tensor(symbols[1:])
    inputs = functional.one_hot(read, VOCABULARY).double() if "embedding" not in weights else weights["embedding"][read]
    states = []
    for x in inputs:
        state = TORCH_ACTIVATIONS[activation](weights["W_xh"] @ x + weights["W_hh"] @ state + weights["b_h"])
        states.append(state)
    logits = torch.stack(states) @ weights["W_hy"].T + weights["b_y"]
    return functional.cross_entropy(logits, targets, reduction="none"), states


def torch_layer_loss(
    weights: dict[str, Tensor], activation: Activation, symbols: Symbols, state: Tensor, reduction: Reduction
) -> Tensor:
    """Return the loss of a chunk, computed by torch's recurrent layer, which has no sigmoid."""
    layer = nn.RNN(weights["W_xh"].shape[1], HIDDEN, nonlinearity=activation, dtype=torch.double)
    named = {
        "weight_ih_l0": weights["W_xh"],
        "weight_hh_l0": weights["W_hh"],
        "bias_ih_l0": weights["b_h"],
        "bias_hh_l0": torch.zeros(HIDDEN, dtype=torch.double),
    }
    read, targets = torch.tensor(symbols[:-1]), torch.tensor(symbols[1:])
    inputs = functional.embedding(read, weights.get("embedding", torch.eye(VOCABULARY, dtype=torch.double)))
    outputs = torch.func.functional_call(layer, named, (inputs, state[None]))[0]
    return functional.cross_entropy(
        functional.linear(outputs, weights["W_hy"], weights["b_y"]), targets, reduction=reduction
    )


def assert_same(ours: dict[str, Array], theirs: dict[str, Tensor | None], tolerance: float = 1e-8) -> None:
    theirs = {name: value for name, value in theirs.items() if value is not None}
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert value is not None
        np.testing.assert_allclose(ours[name], value.detach().numpy(), rtol=0, atol=tolerance, err_msg=name)


# --- gradients --------------------------------------------------------------------------------------------------------


@each_activation
@each_input
@each_reduction
@pytest.mark.parametrize("freeze_recurrent", [False, True])
@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("given_state", [False, True])
def test_gradients_equal_those_of_autograd(
    activation: Activation,
    embedding_size: int | None,
    reduction: Reduction,
    freeze_recurrent: bool,
    clipped: bool,
    given_state: bool,
) -> None:
    network = random_network(activation, embedding_size, freeze_recurrent)
    state = np.random.default_rng(1).normal(size=HIDDEN) if given_state else None
    trace = forward(network, SYMBOLS, state, reduction)
    ours = backward(network, trace)
    norm, factor = clip(ours.parameters, MAX_NORM if clipped else math.inf)

    weights = torch_weights(network)
    start = torch.tensor(network.zero_state() if state is None else state, requires_grad=True)
    if activation == "sigmoid":
        losses, _ = torch_states(weights, activation, SYMBOLS, start)
        loss = losses.mean() if reduction == "mean" else losses.sum()
    else:
        loss = torch_layer_loss(weights, activation, SYMBOLS, start, reduction)
    torch.autograd.backward(loss)
    torch_norm = nn.utils.clip_grad_norm_(weights.values(), MAX_NORM if clipped else math.inf)

    assert trace.loss == pytest.approx(loss.item(), abs=1e-10)
    assert norm == pytest.approx(torch_norm.item(), abs=1e-8)
    assert (factor < 1) == clipped
    assert ("W_hh" in ours.parameters) != freeze_recurrent
    assert_same(ours.parameters, {name: weight.grad for name, weight in weights.items()})
    assert_same({"state": ours.state}, {"state": start.grad})


@each_activation
@each_reduction
@pytest.mark.parametrize("scored", [None, 1, 4])
def test_gradient_by_time_step_equals_that_of_autograd(
    activation: Activation, reduction: Reduction, scored: int | None
) -> None:
    network = random_network(activation)
    trace = forward(network, SYMBOLS, reduction=reduction, scored=scored)
    ours = backward(network, trace)
    losses, states = torch_states(torch_weights(network), activation, SYMBOLS, torch.zeros(HIDDEN, dtype=torch.double))
    scored_losses = losses[-(scored or STEPS) :]
    loss = scored_losses.mean() if reduction == "mean" else scored_losses.sum()
    theirs = torch.stack(torch.autograd.grad(loss, states))
    assert trace.loss == pytest.approx(loss.item(), abs=1e-10)
    np.testing.assert_allclose(trace.losses, losses.detach().numpy(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.h, theirs.numpy(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.norm_by_time_step, theirs.norm(dim=1).numpy(), rtol=0, atol=1e-8)


@each_activation
@each_input
def test_gradients_equal_finite_differences(activation: Activation, embedding_size: int | None) -> None:
    network = random_network(activation, embedding_size)
    gradients = backward(network, forward(network, SYMBOLS)).parameters
    for name, array in network.parameters().items():
        numeric = np.empty_like(array)
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + 1e-6
            above = forward(network, SYMBOLS).loss
            array[index] = value - 1e-6
            numeric[index] = (above - forward(network, SYMBOLS).loss) / 2e-6
            array[index] = value
        np.testing.assert_allclose(gradients[name], numeric, rtol=0, atol=1e-7, err_msg=name)


def test_trace_contains_inputs_states_and_probabilities() -> None:
    network = random_network(embedding_size=4)
    assert network.embedding is not None
    state = np.full(HIDDEN, 0.3)
    trace = forward(network, SYMBOLS, state)
    np.testing.assert_array_equal(trace.x, network.embedding[SYMBOLS[:-1]])
    np.testing.assert_array_equal(trace.h[0], state)
    np.testing.assert_array_equal(trace.h[-1], trace.state)
    np.testing.assert_allclose(trace.p.sum(axis=1), 1)
    np.testing.assert_allclose(trace.losses, [-np.log(trace.p[t, SYMBOLS[t + 1]]) for t in range(STEPS)])
    np.testing.assert_array_equal(
        forward(random_network(), SYMBOLS).x, functional.one_hot(torch.tensor(SYMBOLS[:-1])).numpy()
    )


@each_activation
def test_large_weights_give_finite_losses_without_a_warning(activation: Activation) -> None:
    network = random_network(activation)
    for array in network.parameters().values():
        array *= 1e5 if activation != "relu" else 1e2
    trace = forward(network, SYMBOLS)
    assert np.isfinite(trace.losses).all()
    assert all(np.isfinite(gradient).all() for gradient in backward(network, trace).parameters.values())


# --- initialisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("embedding_size", [None, 300])
@pytest.mark.parametrize("init", ["orthogonal", "xavier", "normal"])
def test_initialise_uses_the_documented_distributions(init: RecurrentInit, embedding_size: int | None) -> None:
    vocabulary, hidden = 250, 200
    network = initialise(
        vocabulary, hidden, np.random.default_rng(3), recurrent_init=init, embedding_size=embedding_size
    )
    inputs = vocabulary if embedding_size is None else embedding_size
    xavier = [("W_xh", network.W_xh, (hidden, inputs)), ("W_hy", network.W_hy, (vocabulary, hidden))]
    if init == "xavier":
        xavier.append(("W_hh", network.W_hh, (hidden, hidden)))
    for name, weight, shape in xavier:
        assert weight.shape == shape, name
        bound = math.sqrt(6 / sum(shape))
        assert 0.99 * bound < abs(weight).max() <= bound, name
        assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02), name
    if init == "orthogonal":
        np.testing.assert_allclose(network.W_hh @ network.W_hh.T, np.eye(hidden), atol=1e-12)
    if init == "normal":
        assert network.W_hh.std() == pytest.approx(0.01, rel=0.02)
    assert not network.b_h.any()
    assert not network.b_y.any()
    if embedding_size is not None:
        assert network.embedding is not None
        assert network.embedding.shape == (vocabulary, embedding_size)
        assert network.embedding.std() == pytest.approx(0.1, rel=0.02)


def test_orthogonal_init_is_uniformly_distributed() -> None:
    """The trace of a uniform orthogonal matrix has mean 0 and variance 1; a plain Q has a negative mean trace."""
    generator = np.random.default_rng(0)
    traces = [np.trace(initialise(1, 4, generator).W_hh) for _ in range(2000)]
    assert np.mean(traces) == pytest.approx(0, abs=4 / math.sqrt(2000))
    assert np.var(traces) == pytest.approx(1, abs=0.15)


def test_initialise_depends_only_on_the_seed() -> None:
    one, same, other = (random_network(embedding_size=3, seed=seed).parameters() for seed in (5, 5, 6))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])


# --- training ---------------------------------------------------------------------------------------------------------


@each_activation
@each_input
@pytest.mark.parametrize("freeze_recurrent", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        Settings(lr=0.2, sequence_length=5, momentum=0.8, decay_rate=0.5, decay_every=3),
        Settings(lr=0.05, sequence_length=5, reduction="sum", momentum=0.5, decay_rate=0.9, decay_every=2, clip=0.7),
        Settings(lr=0.1, sequence_length=4, clip=math.inf),
    ],
)
def test_train_equals_torch_at_every_step(
    activation: Activation, embedding_size: int | None, freeze_recurrent: bool, settings: Settings
) -> None:
    """Covers chunks, carried states, clipping, momentum and decay; the steps go past the end of the text."""
    network = random_network(activation, embedding_size, freeze_recurrent)
    weights = torch_weights(network)
    trained = [weight for weight in weights.values() if weight.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=settings.lr, momentum=settings.momentum)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, settings.decay_every, settings.decay_rate)
    length = settings.sequence_length
    text = np.random.default_rng(2).integers(VOCABULARY, size=4 * length + 2)
    state = torch.zeros(HIDDEN, dtype=torch.double)
    for number, step in enumerate(islice(train(network, text, settings), 10)):
        start = number % 4 * length
        if start == 0:
            state = torch.zeros(HIDDEN, dtype=torch.double)
        losses, states = torch_states(weights, activation, text[start : start + length + 1], state)
        for hidden in states:
            hidden.retain_grad()
        optimizer.zero_grad()
        torch.autograd.backward(losses.mean() if settings.reduction == "mean" else losses.sum())
        norm = nn.utils.clip_grad_norm_(trained, settings.clip).item()
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        state = states[-1].detach()

        by_step = [hidden.grad.norm().item() for hidden in states if hidden.grad is not None]
        assert step.loss == pytest.approx(losses.mean().item(), abs=1e-8)
        assert step.gradient_norm == pytest.approx(norm, abs=1e-8)
        assert step.clipped == (norm > settings.clip)
        np.testing.assert_allclose(step.norm_by_time_step, by_step, rtol=0, atol=1e-8)
        assert step.lr == pytest.approx(rate, rel=1e-12)
        assert step.reset == (start == 0)
        assert_same(network.parameters(), dict(weights))


def tiny_steps(network: Network, text: Symbols, length: int, steps: int) -> list[Step]:
    """Return the records of training steps that are too small to change a parameter."""
    before = {name: array.copy() for name, array in network.parameters().items()}
    log = list(islice(train(network, text, Settings(lr=1e-40, sequence_length=length)), steps))
    for name, array in network.parameters().items():
        np.testing.assert_allclose(array, before[name], rtol=0, atol=1e-30)
    return log


def test_losses_of_chunks_equal_the_loss_of_the_whole_text() -> None:
    network = random_network()
    text = np.random.default_rng(4).integers(VOCABULARY, size=31)
    losses = forward(network, text).losses
    in_chunks = [step.loss for step in tiny_steps(network, text, 10, 3)]
    np.testing.assert_allclose(in_chunks, losses.reshape(3, 10).mean(axis=1), rtol=1e-12)
    alone = forward(network, text[10:21]).losses.mean()
    assert abs(in_chunks[1] - alone) > 1e-3  # so the carried state matters


def test_state_is_reset_when_the_text_starts_again() -> None:
    network = random_network()
    text = np.random.default_rng(4).integers(VOCABULARY, size=24)  # two chunks of 10, and three more symbols
    log = tiny_steps(network, text, 10, 5)
    assert [step.reset for step in log] == [True, False, True, False, True]
    assert [step.loss for step in log[2:4]] == [step.loss for step in log[:2]]
    carried = forward(network, text[:11], forward(network, text[:21]).state).losses.mean()
    assert abs(log[2].loss - carried) > 1e-3  # so the reset matters


def test_consecutive_chunks_share_one_symbol() -> None:
    text = np.arange(8)
    assert [list(chunk) for chunk, _ in islice(chunks(text, 3), 3)] == [[0, 1, 2, 3], [3, 4, 5, 6], [0, 1, 2, 3]]
    assert [list(chunk) for chunk, _ in islice(chunks(text[:7], 3), 2)] == [[0, 1, 2, 3], [3, 4, 5, 6]]


def test_only_a_frozen_w_hh_does_not_change() -> None:
    network = random_network(embedding_size=3, freeze_recurrent=True)
    before = {name: array.copy() for name, array in network.parameters().items()}
    list(islice(train(network, SYMBOLS, Settings(lr=0.1, sequence_length=9)), 3))
    changed = {name for name, array in network.parameters().items() if not np.array_equal(array, before[name])}
    assert changed == {"W_xh", "W_hy", "b_h", "b_y", "embedding"}


@each_activation
@each_input
def test_train_learns_a_text_that_needs_memory(activation: Activation, embedding_size: int | None) -> None:
    characters = "abc"
    text = encode("abacab" * 40, characters)  # the letter after an a depends on earlier letters
    network = initialise(
        3, 16, np.random.default_rng(1), activation=activation, embedding_size=embedding_size, recurrent_init="xavier"
    )
    settings = Settings(lr=0.3, sequence_length=12, momentum=0.9, clip=0.3)
    log = list(islice(train(network, text, settings), 400))
    assert log[0].loss > 0.9
    assert unigram_entropy(text) > 1
    assert evaluate(network, text) < 0.1
    assert decode(sample(network, text[:12], 12, np.random.default_rng(0), temperature=0), characters) == "abacab" * 2


def test_evaluate_carries_the_state_between_pieces() -> None:
    network = random_network()
    text = np.random.default_rng(4).integers(VOCABULARY, size=2345)
    assert evaluate(network, text) == pytest.approx(forward(network, text).loss, abs=1e-12)


def test_last_loss_by_time_step_is_a_mean_over_chunks() -> None:
    network = random_network()
    text = np.random.default_rng(4).integers(VOCABULARY, size=21)
    weights, state = torch_weights(network), torch.zeros(HIDDEN, dtype=torch.double)
    norms = []
    for start in (0, 10):
        losses, states = torch_states(weights, "tanh", text[start : start + 11], state)
        norms.append(torch.stack(torch.autograd.grad(losses[-1], states)).norm(dim=1))
        state = states[-1].detach()
    np.testing.assert_allclose(last_loss_by_time_step(network, text, 10), torch.stack(norms).mean(0).numpy(), atol=1e-8)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_gradients_shrink_or_grow_as_powers_of_w_hh(gain: float) -> None:
    """With positive inputs to ReLU the network is linear; with W = gain I, each step back multiplies by gain."""
    network = random_network("relu")
    network.W_xh[:], network.b_h[:], network.W_hh[:] = abs(network.W_xh), 1.0, gain * np.eye(HIDDEN)
    norms = backward(network, forward(network, SYMBOLS, scored=1)).norm_by_time_step
    np.testing.assert_allclose(norms, norms[-1] * gain ** np.arange(STEPS - 1, -1, -1.0), rtol=1e-9)


# --- sampling and diagnostics -----------------------------------------------------------------------------------------


def test_sample_depends_only_on_the_seed() -> None:
    network = random_network()
    one, same, other = (sample(network, SYMBOLS, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert set(one) <= set(range(VOCABULARY))


def test_sample_takes_the_most_probable_at_temperature_zero() -> None:
    network, generator = random_network(), np.random.default_rng(1)
    before = generator.bit_generator.state
    written = sample(network, SYMBOLS, 20, generator, temperature=0)
    assert generator.bit_generator.state == before
    text = np.concatenate([SYMBOLS, written])
    # reading the whole text again must give the same most probable symbols
    np.testing.assert_array_equal(forward(network, text).p.argmax(axis=1)[len(SYMBOLS) - 1 :], written)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_sample_frequencies_follow_the_temperature(temperature: float) -> None:
    network = random_network()
    network.W_hy[:] = 0
    written = sample(network, SYMBOLS, 3000, np.random.default_rng(1), temperature)
    p = np.exp(network.b_y / temperature)
    p /= p.sum()
    shares = np.bincount(written, minlength=VOCABULARY) / len(written)
    np.testing.assert_allclose(shares, p, rtol=0, atol=0.037)  # four standard errors


def test_tiny_temperature_is_greedy_without_a_warning() -> None:
    network = random_network()
    greedy, cold = (sample(network, SYMBOLS, 20, np.random.default_rng(1), t) for t in (0, 1e-310))
    np.testing.assert_array_equal(greedy, cold)


def test_decode_inverts_encode() -> None:
    assert list(encode("a bad cab", " abcd")) == [1, 0, 2, 1, 4, 0, 3, 1, 2]
    assert decode(encode("a bad cab", " abcd"), " abcd") == "a bad cab"


def test_unigram_entropy_is_the_entropy_of_the_frequencies() -> None:
    assert unigram_entropy(np.array([0, 1, 3, 3])) == pytest.approx(1.5 * math.log(2))
    assert unigram_entropy(np.array([2, 2])) == 0


def test_spectral_radius_is_the_largest_absolute_eigenvalue() -> None:
    assert spectral_radius(np.diag([0.5, -3.0, 2.0])) == pytest.approx(3)
    assert spectral_radius(random_network().W_hh) == pytest.approx(1)  # orthogonal


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_network("gelu"), "activation must be one of tanh, relu, sigmoid, got 'gelu'"),  # type: ignore[arg-type]
        (
            lambda: initialise(3, 4, np.random.default_rng(0), recurrent_init="zero"),  # type: ignore[arg-type]
            "init of W_hh must be one of orthogonal, xavier, normal, got 'zero'",
        ),
        (lambda: initialise(0, 4, np.random.default_rng(0)), "vocabulary_size must be at least 1, got 0"),
        (lambda: initialise(3, 0, np.random.default_rng(0)), "hidden_size must be at least 1, got 0"),
        (
            lambda: initialise(3, 4, np.random.default_rng(0), embedding_size=0),
            "embedding_size must be at least 1, got 0",
        ),
        (
            lambda: forward(random_network(), np.array([], dtype=np.int64)),
            "a chunk needs at least 2 symbols, one to read and one to predict, got 0",
        ),
        (
            lambda: forward(random_network(), np.array([1])),
            "a chunk needs at least 2 symbols, one to read and one to predict, got 1",
        ),
        (lambda: forward(random_network(), np.array([1, 6, 2])), "symbols must be from 0 to 5 (the vocabulary), got 6"),
        (
            lambda: forward(random_network(), np.array([1, 2, -1])),
            "symbols must be from 0 to 5 (the vocabulary), got -1",
        ),
        (
            lambda: forward(random_network(), np.array([1.0, 2.0])),
            "symbols must be a one-dimensional array of integers, got float64 of shape (2,)",
        ),
        (
            lambda: forward(random_network(), SYMBOLS[None]),
            "symbols must be a one-dimensional array of integers, got int64 of shape (1, 10)",
        ),
        (lambda: forward(random_network(), SYMBOLS, np.zeros(3)), "the shape of the state must be (7,), got (3,)"),
        (
            lambda: forward(random_network(), SYMBOLS, reduction="max"),  # type: ignore[arg-type]
            "reduction must be one of mean, sum, got 'max'",
        ),
        (
            lambda: forward(random_network(), SYMBOLS, scored=0),
            "scored must be from 1 to the 9 steps of the chunk, got 0",
        ),
        (
            lambda: forward(random_network(), SYMBOLS, scored=10),
            "scored must be from 1 to the 9 steps of the chunk, got 10",
        ),
        (
            lambda: next(train(random_network(), SYMBOLS, Settings(lr=0.1, sequence_length=10))),
            "the text has 10 symbols, too few for a chunk of 10 steps, which needs 11",
        ),
        (
            lambda: next(train(random_network(), np.array([0, 1, 2, 9]), Settings(lr=0.1, sequence_length=2))),
            "symbols must be from 0 to 5 (the vocabulary), got 9",
        ),
        (
            lambda: evaluate(random_network(), np.array([1])),
            "a chunk needs at least 2 symbols, one to read and one to predict, got 1",
        ),
        (
            lambda: evaluate(random_network(), np.array([], dtype=np.int64)),
            "a chunk needs at least 2 symbols, one to read and one to predict, got 0",
        ),
        (
            lambda: last_loss_by_time_step(random_network(), SYMBOLS, 10),
            "the text has 10 symbols, too few for a chunk of 10 steps, which needs 11",
        ),
        (
            lambda: sample(random_network(), SYMBOLS, 3, np.random.default_rng(0), temperature=-0.1),
            "temperature must be at least 0, got -0.1",
        ),
        (
            lambda: sample(random_network(), SYMBOLS, 3, np.random.default_rng(0), temperature=math.nan),
            "temperature must be at least 0, got nan",
        ),
        (lambda: sample(random_network(), SYMBOLS, -1, np.random.default_rng(0)), "length must be at least 0, got -1"),
        (
            lambda: sample(random_network(), SYMBOLS[:0], 3, np.random.default_rng(0)),
            "the prefix is empty; give at least one symbol",
        ),
        (
            lambda: sample(random_network(), np.array([7]), 3, np.random.default_rng(0)),
            "symbols must be from 0 to 5 (the vocabulary), got 7",
        ),
        (lambda: encode("a?b!", "ab"), "not in the vocabulary: '!', '?'"),
        (lambda: Settings(lr=0), "lr must be above 0 and finite, got 0"),
        (lambda: Settings(lr=math.nan), "lr must be above 0 and finite, got nan"),
        (lambda: Settings(lr=1, sequence_length=0), "sequence_length must be at least 1, got 0"),
        (
            lambda: Settings(lr=1, reduction="max"),  # type: ignore[arg-type]
            "reduction must be one of mean, sum, got 'max'",
        ),
        (lambda: Settings(lr=1, momentum=1), "momentum must be at least 0 and below 1, got 1"),
        (lambda: Settings(lr=1, momentum=-0.1), "momentum must be at least 0 and below 1, got -0.1"),
        (lambda: Settings(lr=1, decay_rate=0), "decay_rate must be above 0 and at most 1, got 0"),
        (lambda: Settings(lr=1, decay_rate=1.1), "decay_rate must be above 0 and at most 1, got 1.1"),
        (lambda: Settings(lr=1, decay_every=0), "decay_every must be at least 1, got 0"),
        (lambda: Settings(lr=1, clip=0), "clip must be above 0 (inf for no clipping), got 0"),
        (lambda: Settings(lr=1, clip=math.nan), "clip must be above 0 (inf for no clipping), got nan"),
    ],
)
def test_invalid_arguments_raise_a_usage_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        call()
    assert str(error.value) == message


def test_train_raises_and_keeps_parameters_when_it_diverges() -> None:
    network = random_network("relu")
    steps = train(network, SYMBOLS, Settings(lr=1e200, sequence_length=9, clip=math.inf))
    assert next(steps).loss < 10
    with pytest.raises(DivergedError) as error:
        next(steps)
    assert str(error.value) == "the gradient of step 2 is not finite; use a smaller lr or a smaller clip"
    assert all(np.isfinite(array).all() for array in network.parameters().values())


def test_evaluate_raises_when_the_loss_is_not_finite() -> None:
    network = random_network("relu")
    for array in network.parameters().values():
        array *= 1e200
    with pytest.raises(DivergedError, match="the loss is not finite"):
        evaluate(network, SYMBOLS)


# --- the example ------------------------------------------------------------------------------------------------------


def test_gradient_picture_has_proportional_bars() -> None:
    rows = gradient_picture(np.array([1.0, 2.0, 4.0]), np.array([0.0, 0.0, 0.0]), width=8).splitlines()
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert [row.count("#") for row in rows] == [2, 4, 8]
    assert "#" not in gradient_picture(np.array([math.inf]), np.array([math.nan]))


def test_example_trains_and_prints_its_results(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--steps", "200", "--hidden-size", "16", "--sequence-length", "12", "--clip", "1e9"])
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    progress = [line for line in lines if "steps/s" in line]
    assert [line.split()[0] for line in progress] == [f"{20 * n}/200" for n in range(1, 11)]
    assert all(" left " in line and " loss " in line and " validation " in line for line in progress)
    values = {line[:20].strip(): line[20:].split() for line in lines if line[:1] in (" ", "s", "c")}
    training, validation, floor, unigram = (
        float(values[name][0]) for name in ("training", "validation", "entropy rate", "unigram entropy")
    )
    text = ELMAN.corpus(600, 42)
    shares = [text.count(character) / len(text) for character in ELMAN.characters]
    assert floor == pytest.approx(ELMAN.entropy_rate, abs=1e-4)
    assert unigram == pytest.approx(-sum(share * math.log(share) for share in shares), abs=1e-4)
    assert floor < training < 0.9 * unigram
    assert floor < validation < 0.9 * unigram
    assert values["spectral radius"][0] == "1.0000"  # orthogonal
    assert values["spectral radius"][3] != "1.0000"
    assert values["clipped"][0] == "0.0%"
    assert sum(line.lstrip().startswith(str(t)) and "#" in line for t in range(1, 13) for line in lines) >= 12
    assert "sample at temperature 0.5, " in printed.out


def test_each_option_of_the_example_has_an_effect(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--steps", "2", "--hidden-size", "4"]

    def output(*arguments: str) -> str:
        main([*few, *arguments], sentences=60)
        lines = capsys.readouterr().out.splitlines()
        return "\n".join(line for line in lines if "steps/s" not in line)  # these lines depend on the clock

    default = output()
    assert default == output()
    for arguments in (
        ("--steps", "3"),
        ("--hidden-size", "5"),
        ("--activation", "relu"),
        ("--embedding-size", "5"),
        ("--init", "xavier"),
        ("--lr", "0.02"),
        ("--momentum", "0.9"),
        ("--decay-rate", "0.5", "--decay-every", "1"),
        ("--clip", "0.5"),
        ("--freeze-recurrent",),
        ("--sequence-length", "20"),
        ("--temperature", "0"),
        ("--seed", "1"),
    ):
        assert output(*arguments) != default, arguments
    assert output("--decay-rate", "0.5", "--decay-every", "1") != output("--decay-rate", "0.5", "--decay-every", "2")
    assert "1.0000 at start, 1.0000 at end" in output("--freeze-recurrent")
    assert "100.0% of the steps" in output("--clip", "0.5")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--activation", "gelu"], 2, "activation must be one of tanh, relu, sigmoid, got 'gelu'"),
        (["--init", "zero"], 2, "init of W_hh must be one of orthogonal, xavier, normal, got 'zero'"),
        (["--steps", "0"], 2, "steps must be at least 1, got 0"),
        (["--seed", "-1"], 2, "seed must be at least 0, got -1"),
        (["--temperature", "-1"], 2, "temperature must be at least 0, got -1.0"),
        (["--lr", "fast"], 2, "argument --lr: invalid float value: 'fast'"),
        (["--depth", "2"], 2, "unrecognized arguments: --depth 2"),
        (
            ["--sequence-length", "100000"],
            2,
            "the text has 1224 symbols, too few for a chunk of 100000 steps, which needs 100001",
        ),
        (
            ["--lr", "1e300", "--activation", "relu", "--steps", "20", "--hidden-size", "4", "--clip", "inf"],
            1,
            "the run diverged: the gradient of step 2 is not finite; use a smaller lr or a smaller clip",
        ),
    ],
)
def test_example_reports_an_error_in_one_line(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == status
    assert capsys.readouterr().err == f"manual_bptt: error: {message}\n"


def test_example_exits_without_a_message_on_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rnn_tasks.manual_bptt.__main__.train", interrupt)
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


def test_example_runs_as_a_module_without_torch() -> None:
    program = (
        "import runpy, sys; sys.argv = ['manual_bptt', '--steps', '2', '--hidden-size', '4'];"
        "runpy.run_module('rnn_tasks.manual_bptt', run_name='__main__', alter_sys=True);"
        "sys.exit('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    assert "entropy rate" in process.stdout
