"""
Back-propagation by hand
========================

``loss.backward()`` is one line. Here you write the lines behind it, for a recurrent network, in NumPy: first forward,
then backward through time. You check every gradient by a definition that nobody can doubt, see where gradients vanish,
and train a network that writes text.

The module :mod:`rnn_tasks.manual_bptt.network` derives the equations in full.
"""

from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

from rnn_tasks.manual_bptt import (
    Array,
    RecurrentInit,
    Settings,
    backward,
    decode,
    encode,
    forward,
    initialise,
    last_loss_by_time_step,
    sample,
    train,
    unigram_entropy,
)

SEED = 0
TEXT = (
    "the rain in spain stays mainly in the plain. the train in spain runs mainly in the rain. "
    "the plain in spain is mainly in the rain. "
) * 20
CHARACTERS = "".join(sorted(set(TEXT)))
symbols = encode(TEXT, CHARACTERS)
print(f"{len(CHARACTERS)} characters: {CHARACTERS!r}")

# %%
# Forward
# -------
#
# The network reads a character at each step and predicts the next one. It is Elman's network: x_t is a one-hot vector,
# p_t are the probabilities of the next character.
#
#     h_t = tanh(W_xh x_t + W_hh h_(t-1) + b_h),  p_t = softmax(W_hy h_t + b_y)

network = initialise(len(CHARACTERS), hidden_size=32, generator=np.random.default_rng(SEED))
chunk = symbols[:26]  # 25 characters to read, and the last one to predict
trace = forward(network, chunk)

h = np.zeros((26, 32))
for t in range(1, 26):
    x = np.eye(len(CHARACTERS))[chunk[t - 1]]
    h[t] = np.tanh(network.W_xh @ x + network.W_hh @ h[t - 1] + network.b_h)
print(f"the largest difference between this loop and forward() is {abs(h - trace.h).max():.0e}")
print(f"loss {trace.loss:.3f} nats per character; equal probabilities would have {np.log(len(CHARACTERS)):.3f}")

# %%
# Backward
# --------
#
# The loss L is the mean over the steps. Three rules give the gradient of W_hh:
#
# 1. at the outputs, the gradient is the probabilities minus the correct answer;
# 2. a state changes the loss in two ways: through its own output, and through the next state;
# 3. tanh has the slope 1 - h², and each use of W_hh adds to its gradient.

steps = len(chunk) - 1
gradient = np.zeros_like(network.W_hh)
from_later = np.zeros(32)  # what comes back from step t + 1
for t in range(steps, 0, -1):
    answer = np.eye(len(CHARACTERS))[chunk[t]]
    d_output = (trace.p[t - 1] - answer) / steps  # rule 1
    d_state = network.W_hy.T @ d_output + from_later  # rule 2
    d_sum = (1 - h[t] ** 2) * d_state  # rule 3
    gradient += np.outer(d_sum, h[t - 1])  # rule 3
    from_later = network.W_hh.T @ d_sum

by_package = backward(network, trace).parameters["W_hh"]
print(f"the largest difference between these lines and backward() is {abs(gradient - by_package).max():.0e}")

# %%
# **Question.** Are these lines right? The definition of a derivative decides: change one weight by a tiny amount in
# both directions, and divide the change of the loss by the change of the weight. We do so for 200 of the weights.


def measured(weight: tuple[int, int], change: float = 1e-5) -> float:
    """Return the derivative of the loss by one weight of W_hh, by two forward passes."""
    losses = []
    for sign in (1, -1):
        network.W_hh[weight] += sign * change
        losses.append(forward(network, chunk).loss)
        network.W_hh[weight] -= sign * change
    return (losses[0] - losses[1]) / (2 * change)


chosen = [(int(i), int(j)) for i, j in np.random.default_rng(SEED).integers(0, 32, (200, 2))]
numeric = np.array([measured(weight) for weight in chosen])
derived = np.array([gradient[weight] for weight in chosen])
figure, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
limit = 1.1 * abs(derived).max()
ax.plot([-limit, limit], [-limit, limit], color="black", linewidth=0.8, linestyle="--", label="equal")
ax.plot(numeric, derived, "o", color="#12476b", markersize=3.5, label="a weight of W_hh")
ax.set(xlabel="measured by two forward passes", ylabel="derived: our loop", aspect="equal")
ax.legend()
plt.show()
print(f"largest difference {abs(numeric - derived).max():.0e}, largest gradient {abs(derived).max():.0e}")

# %%
# **Answer.** All points are on the line. The difference is far smaller than the gradients, and comes from rounding.
#
# Where gradients vanish
# ----------------------
#
# In the loop, ``from_later`` passes through ``W_hh.T`` and the slope of tanh at each step.
#
# **Question.** How much of the gradient of the *last* character's loss arrives k steps earlier? It depends on the
# initial W_hh. Three starts:

starts: dict[RecurrentInit, dict[str, str]] = {
    "orthogonal": {"color": "#12476b", "linestyle": "-", "marker": "o"},
    "xavier": {"color": "#5fae78", "linestyle": "-.", "marker": "^"},
    "normal": {"color": "#c0501f", "linestyle": "--", "marker": "s"},
}
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for start, style in starts.items():
    untrained = initialise(len(CHARACTERS), 32, np.random.default_rng(SEED), recurrent_init=start)
    norms = last_loss_by_time_step(untrained, symbols[:1000], sequence_length=25)[::-1]
    ax.plot(norms / norms[0], **style, markersize=3, label=start)
    print(f"{start}: 10 steps back {norms[10] / norms[0]:.0e} of the gradient is left")
ax.axhline(1, color="black", linewidth=0.9, linestyle=":", label="no loss of gradient")
ax.set(xlabel="steps back from the last character", ylabel="gradient, share of step 0", yscale="log")
figure.legend(loc="outside lower center", ncols=4)
plt.show()

# %%
# **Answer.** The lines are nearly straight on the logarithmic axis: each step multiplies the gradient by about the
# same factor. With ``normal``, numbers of size 0.01, almost nothing is left after a few steps: this network starts
# nearly without a recurrence. An orthogonal W_hh keeps every length, and only the slope of tanh, which is below 1,
# shrinks the gradient.
#
# Training
# --------
#
# ``train`` repeats forward, backward and a step against the gradient, along the text.
#
# **Question.** Does the network learn more than how frequent each character is? The dashed line is the loss of a
# predictor that knows just that.

records = list(islice(train(network, symbols, Settings(lr=0.1, momentum=0.9, clip=1.0)), 400))
losses: Array = np.array([record.loss for record in records])
smooth = np.convolve(losses, np.full(20, 1 / 20), "valid")
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
ax.plot(np.arange(20, 401), smooth, color="#12476b", label="network, mean of 20 steps")
ax.axhline(np.log(len(CHARACTERS)), color="black", linewidth=0.9, linestyle=":", label="equal probabilities")
ax.axhline(unigram_entropy(symbols), color="black", linewidth=0.9, linestyle="--", label="frequencies only")
ax.set(xlabel="training steps", ylabel="loss, nats per character", ylim=(0, 3))
figure.legend(loc="outside lower center", ncols=2)
plt.show()
written = sample(network, encode("the ", CHARACTERS), 60, np.random.default_rng(SEED), temperature=0.5)
print(f"loss: first {losses[0]:.2f}, last {smooth[-1]:.2f}; frequencies only: {unigram_entropy(symbols):.2f}")
print("the network writes: the " + decode(written, CHARACTERS))

# %%
# **Answer.** It does: the loss falls far below that of the frequencies, and the network writes pieces of the text. It
# learned this with the gradients that you have derived.
#
# Exercises
# ---------
#
# 1. Break the backward loop: leave out ``from_later``, or the slope of tanh. How does the picture of the two gradients
#    change?
# 2. Derive the gradients of ``W_xh`` and ``b_h`` in the same loop. One line each.
# 3. In ``initialise``, set ``activation="relu"``, and change rule 3 of the loop to fit.
# 4. Set ``recurrent_init="normal"`` before training. Does the network still learn? What is different in its text?
