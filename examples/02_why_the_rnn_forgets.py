"""
Why the RNN forgets
===================

Two networks have the same size, the same task and the same training. One remembers, the other does not. They differ in
one thing: the recurrent matrix before the first training step. You will measure what this matrix does to a state, to
the memory and to the gradient, and then see what training makes of it.
"""

import tempfile
from contextlib import redirect_stdout
from functools import partial
from io import StringIO

import matplotlib.pyplot as plt
import numpy as np
import torch

import rnn_tasks
from rnn_tasks.analysis import eigenvalues, gradient_by_lag
from rnn_tasks.analysis.memory import drive, memory_capacity, scalar_input, white_noise
from rnn_tasks.cores import RNN, Elman, Orthogonal
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.runs.curves import read_curves
from rnn_tasks.tasks import Copy

# %%
# The task
# --------
#
# The network reads five letters (0 to 7), then 30 blanks (8), then a marker (9). After the marker it must write the
# five letters. Steps before the answer have the blank as their target.

SEED = 0
task = Copy("arjovsky", num_symbols=5, delay=30, seed=SEED)
batch = task.train_batch(0)
print("inputs ", *batch.inputs[0].tolist())
print("targets", *batch.targets[0].tolist())
print(f"a guess is right with probability {task.baseline.accuracy:.3f}")

# %%
# Two networks
# ------------
#
# Both compute h_t = tanh(W h_(t-1) + U x_t + b) with 64 units. ``RNN`` is torch's layer: W starts with small random
# numbers. In the other one W starts as a random orthogonal matrix, which rotates a vector and keeps its length.

SIZE = 64
torch.manual_seed(SEED)
networks: dict[str, Network] = {
    "torch's start": TaggerNetwork(partial(RNN, hidden_size=SIZE), task.spec),
    "orthogonal start": TaggerNetwork(partial(Elman, hidden_size=SIZE, recurrent_init=Orthogonal()), task.spec),
}
STYLES = {
    "torch's start": {"color": "#c0501f", "linestyle": "--", "marker": "s", "markersize": 3},
    "orthogonal start": {"color": "#12476b", "linestyle": "-", "marker": "o", "markersize": 3},
}

# %%
# **Question.** What does W do to a state in one step? Its eigenvalues are the answer: in the direction of an
# eigenvalue, a step multiplies the state by its absolute value.

figure, ax = plt.subplots(figsize=(5, 4.6), layout="constrained")
angle = np.linspace(0, 2 * np.pi, 200)
ax.plot(np.cos(angle), np.sin(angle), color="black", linewidth=0.8, linestyle=":", label="length is kept")
for name, network in networks.items():
    values = eigenvalues(network)["weight_hh_l0"].numpy()
    ax.plot(values.real, values.imag, **{**STYLES[name], "linestyle": "", "markersize": 4}, label=name)
    print(f"{name}: largest |eigenvalue| {abs(values).max():.2f}, to the power of 30: {abs(values).max() ** 30:.1g}")
ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
figure.legend(loc="outside lower center", ncols=3)
plt.show()

# %%
# **Answer.** With torch's start all eigenvalues are well inside the circle: every step shrinks the state. Over the 30
# steps of the delay even the slowest direction shrinks to almost nothing. All eigenvalues of the orthogonal matrix are
# on the circle: it shrinks nothing. What shrinks there is tanh alone, and only a little while the state is small.
#
# Memory before training
# ----------------------
#
# **Question.** How far back can we read in the state? Feed each layer random numbers, and let a linear regression
# estimate from the state the number of k steps ago. The squared correlation of estimate and number is 1 if the state
# holds the number, and near 0 if it is lost.

noise = white_noise(3000, seed=SEED)
encoding = scalar_input(torch.eye(task.spec.input_size), seed=SEED)
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for name, network in networks.items():
    states = drive(network.core, noise, encoding.direction, encoding.offset)
    capacity = memory_capacity(states, noise, max_lag=2 * SIZE)
    ax.plot(capacity.lags, capacity.by_lag, **STYLES[name], label=name)
    print(f"{name}: memory capacity {capacity.total:.1f} (without memory {capacity.chance:.1f}, at most {SIZE})")
ax.axhline(capacity.chance / len(capacity.lags), color="black", linewidth=0.9, linestyle=":", label="no memory")
ax.axvline(35, color="0.6", linewidth=0.9, label="lag of the task")
ax.set(xlabel="lag, time steps", ylabel="squared correlation", ylim=(-0.03, 1.03))
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
# **Answer.** The state of torch's RNN holds a bit more than the last ten numbers. Nothing about the number of 35 steps
# ago is left. The orthogonal network, which has not learned anything yet, still holds numbers of that time.
#
# The gradient before training
# ----------------------------
#
# **Question.** Training follows the gradient. The letter to recall was read 35 steps before the answer. Does the
# gradient of the answer's loss reach that step?


def draw_gradients(networks: dict[str, Network]) -> None:
    """Draw the length of the gradient by lag, as a share of its length at lag 0."""
    figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
    for name, network in networks.items():
        norms = gradient_by_lag(network.double(), batch)
        ax.plot(norms / norms[0], **STYLES[name], label=name)
        print(f"{name}: at lag 35 the gradient has {norms[35] / norms[0]:.1g} of its length at lag 0")
    ax.axvline(35, color="0.6", linewidth=0.9, label="lag of the task")
    ax.axhline(1, color="black", linewidth=0.9, linestyle=":", label="no loss of gradient")
    ax.set(xlabel="lag, time steps back from the loss", ylabel="gradient, share of lag 0", yscale="log")
    figure.legend(loc="outside lower center", ncols=2)
    plt.show()


draw_gradients(networks)

# %%
# **Answer.** The straight line on the logarithmic axis is the same shrinking again, backwards in time: a constant
# factor for each step. For torch's RNN the gradient at the task's lag is smaller than rounding errors, so training has
# nothing to follow. In the orthogonal network a useful part of the gradient arrives.
#
# After training
# --------------
#
# **Question.** Does the start decide what the networks learn? ``rnn_tasks.train`` runs what the command ``rnn-tasks
# fit --config copy --config models/rnn`` runs. The overlay ``rnn`` is torch's RNN. ``qr_rnn`` starts orthogonal, and
# makes W orthogonal again after each training step. The runs go to a temporary folder.

runs = {}
for name, model in (("torch's start", "rnn"), ("orthogonal start", "qr_rnn")):
    options = {
        "data.layout": "arjovsky",
        "data.num_symbols": 5,
        "data.delay": 30,
        "data.batch_size": 64,
        "data.val_sequences": 200,
        "data.test_sequences": 500,
        "model.core.hidden_size": SIZE,
        "trainer.max_steps": 200,
        "trainer.val_check_interval": 10,
        "trainer.default_root_dir": tempfile.mkdtemp(),
    }
    with redirect_stdout(StringIO()):  # without progress
        runs[name] = rnn_tasks.train("copy", model=model, seed=SEED, **options)

figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for name, run in runs.items():
    ax.plot(*read_curves(run.folder)["val/accuracy"], **STYLES[name], label=name)
    print(f"{name}: {run.summary['verdict']}, test accuracy {run.summary['metrics']['test/accuracy']:.3f}")
ax.axhline(task.baseline.accuracy, color="black", linewidth=0.9, linestyle=":", label="a guess")
ax.set(xlabel="training steps", ylabel="accuracy in the validation", ylim=(0, 1.03))
figure.legend(loc="outside lower center", ncols=3)
plt.show()

# %%
# **Answer.** It does. The orthogonal network learns to recall the letters. Torch's RNN stays at the line of a guess.
# It has the same 200 steps, the same sequences and the same learning rates.
#
# **Question.** Has training opened a way for the gradient of torch's RNN?

draw_gradients({name: run.network for name, run in runs.items()})

# %%
# **Answer.** No. Its gradient still falls by many powers of ten on the way to the letters. The network can only learn
# what is close to the answer: when to write, but not what.
#
# Both networks *can* represent the solution, as they compute with the same formula. What torch's start lacks is a
# gradient that points to it.
#
# Exercises
# ---------
#
# 1. In ``options``, set ``"data.delay": 3``. Does torch's RNN learn now? What do the gradients say at the new lag?
# 2. Train ``"ortho_init"`` as a third network: it starts orthogonal, but W is free afterwards.
# 3. Multiply the orthogonal start by a number: ``Orthogonal(gain=0.9)`` and ``Orthogonal(gain=1.2)``. Which line of
#    the picture of eigenvalues moves? Predict the gradient at lag 35 before you draw it.
# 4. Train ``"gru"`` for 200 steps. A GRU has another way to keep a state: see :doc:`06_what_each_gate_does`.
