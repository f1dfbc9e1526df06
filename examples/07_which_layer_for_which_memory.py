"""
Which layer for which memory
============================

"Layer A has a better memory than layer B" has no meaning until somebody says what is to be remembered. Here three
layers meet three tasks. Each layer wins one of them, and for each win there is a reason in the layer's formula.
"""

import tempfile
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import rnn_tasks
from rnn_tasks.runs.curves import Curve, read_curves
from rnn_tasks.tasks import Automaton, Copy, GeneratedTask, Recall

# %%
# Three kinds of memory
# ---------------------
#
# - ``copy``: read four letters, wait for 20 steps, repeat them. The memory is a *record*: nothing is computed with it.
# - ``parity``: read up to six bits, say whether the number of ones is odd. The memory is one bit, but each one that is
#   read must *flip* it.
# - ``recall``: read three pairs of a key and a value; then one key comes again, and its value is the answer. The
#   memory is a *table*, in which something is looked up.

SEED = 0
TASKS: dict[str, GeneratedTask] = {
    "copy": Copy("arjovsky", num_symbols=4, delay=20, seed=SEED),
    "parity": Automaton("parity", max_length=6, seed=SEED),
    "recall": Recall("associative", pairs=3, seed=SEED),
}
for name, task in TASKS.items():
    batch = task.train_batch(0)
    print(f"{name}: a guess is right with probability {task.baseline.accuracy:.3f}; one sequence:")
    print("  inputs ", *batch.inputs[0].tolist())
    print("  targets", *("." if symbol == -100 else symbol for symbol in batch.targets[0].tolist()))

# %%
# Three layers
# ------------
#
# - ``lru`` multiplies each number of its state by a fixed complex number close to the unit circle. The state is a sum
#   of everything that was read, each part with its own factor. The state has no influence on what happens to it.
# - ``gru`` computes gates and a candidate from its state: the state decides what becomes of it.
# - ``deltanet`` has a matrix as its state. It writes a value under a key, and reads by a key.
#
# **Question.** Which layer will win which task? Decide before you read on.
#
# Nine runs
# ---------
#
# Every run has 64 units, at most 200 steps of 32 sequences, and the same optimizer. A run stops when it has solved its
# task. Runs go to a temporary folder.

OPTIONS: dict[str, dict[str, Any]] = {
    "copy": {"data.layout": "arjovsky", "data.num_symbols": 4, "data.delay": 20},
    "parity": {"data.max_length": 6, "data.eval_lengths": None},
    "recall": {"data.pairs": 3},
}
CONFIGS = {"copy": "copy", "parity": "automaton", "recall": "recall"}
LAYERS = ("lru", "gru", "deltanet")
folder = tempfile.mkdtemp()


def train(task: str, layer: str) -> Curve:
    """Train a network; return its accuracy in each validation."""
    options: dict[str, Any] = {
        **OPTIONS[task],
        "data.batch_size": 32,
        "data.val_sequences": 300,
        "data.test_sequences": 300,
        "model.core.hidden_size": 64,
        "model.optimizer.lr": 0.01,
        "model.recurrent_lr_factor": 1.0,
        "model.input_lr_factor": 1.0,
        "trainer.max_steps": 200,
        "trainer.val_check_interval": 25,
        "trainer.default_root_dir": folder,
    }
    with redirect_stdout(StringIO()):  # without progress
        run = rnn_tasks.train(CONFIGS[task], model=layer, seed=SEED, **options)
    return read_curves(run.folder)["val/accuracy"]


curves = {(task, layer): train(task, layer) for task in TASKS for layer in LAYERS}

# %%
# The accuracy during training, with the line of a guess and of partial solutions, which know one thing of the task:

figure, axes = plt.subplots(1, 3, figsize=(7, 3.2), sharey=True, layout="constrained")
STYLES = (("#12476b", "-", "o"), ("#c0501f", "--", "s"), ("#5fae78", "-.", "^"))
for ax, (task_name, task) in zip(axes, TASKS.items(), strict=True):
    for layer, (color, line, marker) in zip(LAYERS, STYLES, strict=True):
        label = layer if task_name == "copy" else None
        curve = curves[task_name, layer]
        ax.plot(*curve, color=color, linestyle=line, marker=marker, markersize=3, label=label)
    chance = task.baseline.accuracy
    ax.axhline(chance, color="black", linewidth=0.9, linestyle=":", label="a guess" if task_name == "copy" else None)
    for plateau in task.plateaus:
        print(f"{task_name}, a network that {plateau.name}: accuracy {plateau.accuracy:.2f}")
        label = "a partial solution" if task_name == "recall" else None
        ax.axhline(plateau.accuracy or 0, color="0.55", linewidth=0.9, linestyle=(0, (5, 2)), label=label)
    ax.set(title=task_name, xlabel="training steps", ylim=(0, 1.03))
axes[0].set_ylabel("accuracy in the validation")
figure.legend(loc="outside lower center", ncols=5, fontsize=8)
plt.show()

best = np.array([[curves[task, layer].values.max() for task in TASKS] for layer in LAYERS])
print(f"{'best accuracy':14}" + "".join(f"{task:>8}" for task in TASKS))
for layer, row in zip(LAYERS, best, strict=True):
    print(f"{layer:14}" + "".join(f"{value:8.2f}" for value in row))

# %%
# **Answer.** The LRU wins ``copy``, the GRU ``parity``, DeltaNet ``recall``.
#
# - *Why the LRU wins copy.* Its factors are almost 1 in size, so 20 blanks change nothing but the phases. The four
#   letters arrive at the end as they were read. A GRU must first learn to keep its gates shut for 20 steps. DeltaNet
#   has keys, but blanks and letters carry no position that could become a key.
# - *Why the LRU fails at parity.* Nothing in the LRU depends on the state: its output is a sum with one term for each
#   input. Whether a one turns the answer to odd or to even depends on all other bits, and no such sum can say it. The
#   GRU computes its next state *from* its state, so it can flip a bit.
# - *Why DeltaNet wins recall.* The task is its formula: write a value under a key, read by a key. The two others must
#   keep all pairs in one vector, and find the right one later. Within this budget they learn which values occurred,
#   but not whose: the grey line.
#
# What this does not show
# -----------------------
#
# One seed, one learning rate, 200 steps: a layer that loses here has not learned the task *within this budget*. The
# GRU does learn such a copy task with more steps. Only the failure of the LRU at parity has a theorem behind it
# (:doc:`/layers`). :doc:`/suite` compares twenty layers on eight kinds of memory, with tuning and several seeds, and
# :doc:`/comparisons` says what a fair comparison needs.
#
# Exercises
# ---------
#
# 1. Set ``SEED = 1``. Do the winners change?
# 2. Add ``"qr_rnn"``, the orthogonal network of :doc:`02_why_the_rnn_forgets`, to ``LAYERS`` (and a fourth style).
# 3. Make ``recall`` harder: ``"data.pairs": 8``. Give the GRU more units until it solves the task again.
# 4. Add ``"model.core.max_beta": 2.0`` to the options of ``parity`` and train ``deltanet`` alone: writing with the
#    strength 2 turns a stored value into its negative. Why does that help?
