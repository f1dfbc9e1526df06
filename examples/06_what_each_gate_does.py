"""
What each gate does
===================

A GRU has two gates for each unit: the update gate and the reset gate. Books draw them as valves. Here you will set a
gate by hand, watch the gates of a trained network, and then take each gate away to see what breaks.
"""

import tempfile
from contextlib import redirect_stdout
from copy import deepcopy
from io import StringIO

import matplotlib.pyplot as plt
import torch

import rnn_tasks
from rnn_tasks.analysis import gate_activity
from rnn_tasks.cores import GRU
from rnn_tasks.networks import Network
from rnn_tasks.tasks import Adding

# %%
# The update gate by hand
# -----------------------
#
# A GRU computes a candidate n_t from the input and the old state, and mixes it with the old state. In PyTorch's
# convention z = 1 keeps the old state, and z = 0 replaces it:
#
#     h_t = (1 - z_t) n_t + z_t h_(t-1)
#
# **Question.** How long does a unit remember if its update gate stays at one value? We build a GRU with one unit, set
# its weights by hand, and let it read 0, 0, 1, 1, 1, and then only 0. PyTorch stacks the weights in the order reset,
# update, candidate.

pulse = torch.zeros(1, 40, 1)
pulse[:, 2:5] = 1
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
ax.fill_between(range(40), pulse[0, :, 0], step="mid", color="0.9", label="input")
for z, line in ((0.01, ":"), (0.5, "-."), (0.9, "--"), (0.99, "-")):
    unit = GRU(1, 1)
    with torch.no_grad():
        for weight in unit.parameters():
            weight.zero_()
        unit.weight_ih_l0[2] = 3  # the candidate is tanh(3 x)
        unit.bias_ih_l0[1] = torch.tensor(z).logit()  # the update gate is z
        states = unit(pulse)[0][0, :, 0]
    ax.plot(states, color="#12476b", linestyle=line, label=f"z = {z}")
    print(f"z = {z}: after 30 zeros {states[34] / states[4]:.2f} of the state is left")
ax.set(xlabel="time step", ylabel="state of the unit", ylim=(-0.03, 1.03))
figure.legend(loc="outside lower center", ncols=5, fontsize=8)
plt.show()

# %%
# **Answer.** A gate near 1 remembers for long, but it writes slowly: with z = 0.99 the three ones hardly reach the
# state. A gate near 0 writes at once and forgets at once. No fixed value does both. So the gate must *move*: near 0
# when something important comes, near 1 otherwise.
#
# The gates of a trained network
# ------------------------------
#
# In the adding problem the network reads a random number at each step, and a mark. Two steps are marked. At the end
# the network must return the sum of the two marked numbers. All other numbers must be ignored. Training goes to a
# temporary folder.

SEED = 0
options = {
    "data.length": 20,
    "data.batch_size": 64,
    "data.val_sequences": 200,
    "data.test_sequences": 500,
    "model.core.hidden_size": 16,
    "model.optimizer.lr": 0.02,
    "trainer.max_steps": 300,
    "trainer.default_root_dir": tempfile.mkdtemp(),
}
with redirect_stdout(StringIO()):  # without progress
    run = rnn_tasks.train("adding", model="gru", seed=SEED, **options)

task = Adding(length=20, batch_size=200, seed=SEED)
guess, partial_solution = task.baseline.loss, task.plateaus[0]
print(f"squared error of the GRU on new sequences: {run.summary['metrics']['test/loss']:.4f}")
print(f"of the best constant: {guess:.4f}; of a network that {partial_solution.name}: {partial_solution.loss:.4f}")

# %%
# **Question.** When does the network write into its state? The picture shows one sequence: the numbers with the two
# marks, and below the update gate of each unit, dark where it writes, bright where it keeps.

batch = task.train_batch(0)
gates = gate_activity(run.network, batch)
update, reset = gates["layer0/update"], gates["layer0/reset"]
marked = batch.inputs[..., 1] == 1
order = (update[~marked].mean(0) - update[marked].mean(0)).argsort()

figure, (top, bottom) = plt.subplots(2, figsize=(5.5, 4.6), height_ratios=(1, 1.6), sharex=True, layout="constrained")
numbers, marks = batch.inputs[0, :, 0], marked[0]
top.bar(range(20), numbers, color=["#c0501f" if mark else "0.75" for mark in marks])
top.set(ylabel="number\n(marked: red)")
image = bottom.imshow(update[0][:, order].T, origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=1)
bottom.set(xlabel="time step", ylabel="unit (sorted)")
figure.colorbar(image, ax=bottom, label="update gate\n(1: keep)")
plt.show()
for name, values in (("update", update), ("reset", reset)):
    at_marks, elsewhere = values[marked].mean(), values[~marked].mean()
    print(f"mean {name} gate at marked steps {at_marks:.2f}, at all others {elsewhere:.2f}")

# %%
# **Answer.** At the two marked steps the update gate of many units falls: they write. At all other steps it is close
# to 1: they keep. Nobody told the network to do so. The mean over 200 sequences says the same of the update gate. The
# reset gate shows no such pattern in its mean.
#
# Take a gate away
# ----------------
#
# A pattern is not yet a proof that the network needs it. **Question.** What happens to the error if a gate can no
# longer move? We copy the trained network and hold one gate of each unit at its own mean value: its weights become
# zero, and its bias gives the mean.


def with_fixed_gate(network: Network, index: int, mean: torch.Tensor) -> Network:
    """Return a copy of the network whose reset (0) or update gate (1) always has its mean value."""
    copy = deepcopy(network)
    core = copy.core
    assert isinstance(core, GRU)
    rows = slice(index * core.hidden_size, (index + 1) * core.hidden_size)
    with torch.no_grad():
        core.weight_ih_l0[rows], core.weight_hh_l0[rows], core.bias_hh_l0[rows] = 0, 0, 0
        core.bias_ih_l0[rows] = mean.logit()
    return copy


@torch.no_grad()
def squared_error(network: Network) -> float:
    """Return the mean squared error at the last step, the only one that is scored."""
    outputs, _ = network(batch.inputs)
    return float((outputs - batch.targets).square().nanmean())


errors = {
    "intact": squared_error(run.network),
    "reset gate fixed": squared_error(with_fixed_gate(run.network, 0, reset.mean((0, 1)))),
    "update gate fixed": squared_error(with_fixed_gate(run.network, 1, update.mean((0, 1)))),
}
figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
bars = ax.bar(list(errors), list(errors.values()), color=["#12476b", "#5fae78", "#c0501f"], width=0.6)
ax.bar_label(bars, fmt="%.4f")
ax.axhline(guess, color="black", linewidth=0.9, linestyle="--", label="best constant")
ax.axhline(partial_solution.loss or 0, color="0.5", linewidth=0.9, linestyle=":", label=partial_solution.name)
ax.set(ylabel="mean squared error", yscale="log", ylim=(min(errors.values()) / 3, 3 * max(guess, *errors.values())))
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
# **Answer.** Without a moving update gate nothing of the solution is left: the error is no better than that of a
# network that knows one of the two numbers. Without a moving reset gate the error grows too, but the network still
# adds. So on this task the update gate is the memory, and the reset gate is a detail. Other tasks use the gates
# otherwise: this answer holds for the adding problem.
#
# Exercises
# ---------
#
# 1. In the first part, make the unit read without forgetting: change z at each step, by a weight from the input to the
#    gate (``unit.weight_ih_l0[1]``).
# 2. Train with ``model="update_only_gru"``, a GRU without a reset gate. Does it solve the task?
# 3. Train with ``model="lstm"``. Its gates are ``layer0/input``, ``layer0/forget`` and ``layer0/output``. Which one
#    takes the part of the update gate?
# 4. In a task like ``flip_flop_bits`` a GRU can keep a bit without its update gate, as tanh itself has two stable
#    states. Train it, and fix the gates in the same way.
