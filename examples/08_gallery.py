"""
Gallery of pictures
===================

Each picture of a report, with the lines that draw it. Two small networks are trained first; all pictures are of them.

``load_run`` reads a run with what a report needs: the network, the untrained network, the task, test sequences and the
recordings of the training. In ``rnn_tasks.report`` there is a function that measures, in ``rnn_tasks.plots`` one that
draws, for a width in inches. To keep a picture: ``draw_...(...).savefig("picture.png")``. To have all of them with
captions: ``rnn-tasks analyze RUN`` (:doc:`03_read_a_report`).
"""

import tempfile
from contextlib import redirect_stdout
from io import StringIO

import rnn_tasks
from rnn_tasks.plots.fixed_points import draw_fixed_points
from rnn_tasks.plots.gates import draw_gates
from rnn_tasks.plots.gradients import draw_clipping, draw_gradient_by_lag, draw_gradient_maps
from rnn_tasks.plots.groups import draw_groups
from rnn_tasks.plots.jacobians import draw_exponents, draw_products
from rnn_tasks.plots.learning_curves import draw_learning_curves
from rnn_tasks.plots.matrices import draw_eigenvalues, draw_norms
from rnn_tasks.plots.memory import draw_capacities, draw_probes
from rnn_tasks.plots.saturation import draw_saturation
from rnn_tasks.plots.trajectories import draw_trajectory, draw_units
from rnn_tasks.plots.value_examples import draw_examples
from rnn_tasks.report.fixed_points import fixed_points_of
from rnn_tasks.report.gates import carrying_unit, gates_of
from rnn_tasks.report.gradients import clipping_of, gradient_map, gradients_by_lag, gradients_in_training
from rnn_tasks.report.groups import group_scores
from rnn_tasks.report.jacobians import stretching
from rnn_tasks.report.learning import baseline
from rnn_tasks.report.learning_curves import learning_run
from rnn_tasks.report.matrices import norms, spectra
from rnn_tasks.report.probes import capacities, probe
from rnn_tasks.report.run_data import RunData, load_run
from rnn_tasks.report.saturation import saturation_of
from rnn_tasks.report.trajectories import trajectory_of, units_of
from rnn_tasks.report.value_examples import examples_of
from rnn_tasks.runs.find import find_run

WIDTH = 6.0

# %%
# Two networks
# ------------
#
# A tanh network with an orthogonal start repeats letters after four steps (``echo``). A GRU keeps two bits
# (``flip_flop_bits``): each channel has a pulse of 1 or -1 now and then, and the answer is the last pulse of the
# channel. The runs go to a temporary folder.


def train(task: str, model: str, **options: object) -> RunData:
    """Train a network with recordings, and read its run."""
    with redirect_stdout(StringIO()):  # without progress
        run = rnn_tasks.train(
            task,
            model=model,
            seed=0,
            config="watch",
            **{"data.val_sequences": 200, "trainer.default_root_dir": tempfile.mkdtemp()},
            **options,
        )
    return load_run(find_run(str(run.folder)), label=task)


echo = train("echo", "ortho_init", **{"model.core.hidden_size": 128})
bits = train(
    "flip_flop_bits",
    "gru",
    **{
        "data.length": 30,
        "data.num_channels": 2,
        "data.pulse_probability": 0.2,
        "data.eval_lengths": [60, 120],
        "model.core.hidden_size": 12,
        "model.optimizer.lr": 0.02,
        "trainer.max_steps": 300,
        "trainer.val_check_interval": 10,
        "trainer.log_every_n_steps": 10,
    },
)
assert echo.batch is not None
for run in (echo, bits):
    print(run.label, run.summary["verdict"], "after", run.summary["steps"], "steps")

# %%
# Learning curves
# ---------------
#
# Loss and accuracy in training and validation, with the baseline.

draw_learning_curves([learning_run(echo, baseline(echo, "val"))], "nats per step", WIDTH)

# %%
# Learning curves with plateaus
# -----------------------------
#
# The grey lines are partial solutions: a network without memory, and the best linear filter of the pulses. A ring marks
# the first validation that counts as solved.

draw_learning_curves([learning_run(bits, baseline(bits, "val"))], "mean squared error", WIDTH)

# %%
# Examples with real values
# -------------------------
#
# Inputs, targets and answers of one test sequence, in a panel for each channel.

draw_examples(examples_of([("network", bits)]), WIDTH)

# %%
# Scores by group
# ---------------
#
# The error by the age of the oldest pulse that the answer needs, and by the length of the sequence: the lengths of
# training are shaded, the others are longer.

draw_groups([("network", group_scores(bits)["lag"])], "lag", of_error=True, width=WIDTH)

# %%

draw_groups([("network", group_scores(bits)["length"])], "length", of_error=True, width=WIDTH)

# %%
# Linear probes
# -------------
#
# Which of the letters that were read can be told from the state, before and after training?

draw_probes([("", probe(echo.network, echo.untrained, echo.batch))], WIDTH)

# %%
# Memory capacity
# ---------------
#
# How well a linear readout of the state estimates a random number of k steps ago.

draw_capacities([("", capacities(echo.network, echo.untrained, echo.batch))], WIDTH)

# %%
# Gradient by lag
# ---------------
#
# The length of the gradient of the last loss, k steps back in time (:doc:`/gradient_by_lag`).

by_lag = gradients_by_lag(echo)
assert by_lag is not None
draw_gradient_by_lag([("", by_lag, echo.recall_lag)], WIDTH)

# %%
# Gradient by time step, during training
# --------------------------------------
#
# Where in the sequence does the gradient of the loss arrive, and how does that change? Dark: it vanishes.

in_training = gradients_in_training(echo)
assert in_training is not None
draw_gradient_maps([("", gradient_map(in_training))], "time step", WIDTH)

# %%
# Gradient clipping
# -----------------

clipping = clipping_of(echo)
assert clipping is not None
draw_clipping([("", clipping)], WIDTH)

# %%
# Jacobian products
# -----------------
#
# By which factor do k steps stretch or shrink small differences between states?

stretched = stretching(echo.network, echo.untrained, echo.batch)
draw_products([("", stretched)], WIDTH)

# %%
# Lyapunov exponents
# ------------------
#
# The same in the long run: the rate of growth or decay per step, in each direction.

draw_exponents([("", stretched)], WIDTH)

# %%
# Eigenvalues
# -----------
#
# Of the recurrent matrix, before and after training, with the unit circle.

draw_eigenvalues([("", spectrum) for spectrum in spectra(echo)], ("before training", "after training"), WIDTH)

# %%
# Norms of the recurrent matrix
# -----------------------------

draw_norms(norms([echo]), WIDTH)

# %%
# Saturation
# ----------
#
# How often each unit is near -1 or 1, where tanh is flat.

saturated = saturation_of(echo)
assert saturated is not None
draw_saturation([("", saturated)], WIDTH)

# %%
# Gates
# -----
#
# The gates of the GRU along a sequence (:doc:`06_what_each_gate_does`).

gates = gates_of(bits)
assert gates is not None
draw_gates(gates.values, gates.read, WIDTH, carrying_unit(gates))

# %%
# Hidden states
# -------------
#
# All units along one sequence.

units = units_of(echo)
assert units is not None
draw_units([("", units)], WIDTH)

# %%
# Trajectory
# ----------
#
# The state along one sequence, in the two directions of the largest variance, at some moments of the training.

trajectory = trajectory_of(bits)
assert trajectory is not None
draw_trajectory(trajectory, WIDTH)

# %%
# Fixed points
# ------------
#
# States that do not move as long as no pulse comes. Two bits have four combinations: a network that keeps each of them
# for any time has four stable points (filled circles). With fewer, it loses some combinations slowly. Last panel: the
# eigenvalues of the Jacobian at each point.

points = fixed_points_of(bits)
assert points is not None
draw_fixed_points(points, WIDTH)
