"""
Read a report
=============

``rnn-tasks analyze`` writes a page with about a dozen pictures of a trained network. Here you train a network, write
its report, and go through the pictures in the order in which they help: did it learn, what does it remember, could it
have learned more, and how does it keep what it knows?
"""

import json
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

import rnn_tasks
from rnn_tasks.report.write import write_report
from rnn_tasks.runs.find import find_run

# %%
# The run
# -------
#
# The task is *temporal order*: in 30 letters of noise, two letters are marks, X or Y. At the end the network must say
# which of the four orders it has seen: XX, XY, YX or YY. ``watch`` adds recordings during training, so that the report
# has more pictures. The run and its report go to a temporary folder.

SEED = 0
folder = Path(tempfile.mkdtemp())
options: dict[str, Any] = {
    "config": "watch",
    "data.length": 30,
    "data.val_sequences": 300,
    "model.core.hidden_size": 32,
    "trainer.max_steps": 300,
    "trainer.val_check_interval": 5,
    "trainer.log_every_n_steps": 5,
    "trainer.default_root_dir": str(folder),
}
with redirect_stdout(StringIO()):  # without progress
    run = rnn_tasks.train("temporal_order", seed=SEED, **options)

# %%
# On the command line, ``rnn-tasks analyze temporal_order`` writes the report of the newest run of the task.

page = write_report([find_run(str(run.folder))], folder / "report")
numbers = json.loads((folder / "report" / "analysis.json").read_text())
print("pictures:", *sorted(path.stem for path in (folder / "report" / "pictures").glob("*.png")))


def show(name: str) -> None:
    """Show a picture of the report."""
    image = plt.imread(folder / "report" / "pictures" / f"{name}.png")
    height, width = image.shape[:2]
    figure = plt.figure(figsize=(7, 7 * height / width))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(image)
    ax.set_axis_off()
    plt.show()


# %%
# Did it learn?
# -------------
#
# **Question.** Is the network better than a guess, and better than a trick? First the verdict, then the learning
# curves.

metrics, baseline = run.summary["metrics"], run.summary["baseline"]
print(f"verdict: {run.summary['verdict']}")
print(f"test accuracy {metrics['test/accuracy']:.3f}; a guess has {baseline['accuracy']:.3f}")
show("learning_curves")

# %%
# **Answer.** Compare the thick line, the validation, with the straight lines, not with 0. The dashed line is a guess.
# The grey line is a *plateau*: the score of a network that knows the latest mark and guesses the other one. A network
# that stays at a plateau has not "half learned" the task: it has learned a simpler one. If the line leaves the plateau
# behind, the network knows both marks. A ring marks the validation from which on the run counts as solved.
#
# What does it remember?
# ----------------------
#
# **Question.** How long ago may the first mark be? The report sorts the test by the *lag*, the number of steps between
# the first mark and the answer.

show("accuracy_by_lag")

# %%
# **Answer.** A network that forgets falls from left to right, towards the grey line. A flat line at the top means that
# no lag of this test is too long.
#
# **Question.** Does the state hold everything that was read, or only what the task needs? Linear probes try to read
# the letter of k steps ago from the state.

show("linear_probe")
probe = next(iter(numbers["remembering"]["probe"].values()))
for name in ("trained", "untrained"):
    print(f"{name}: letters are read above chance at {len(probe[name]['lags_above_chance'])} lags")

# %%
# **Answer.** Look where the solid line enters the grey band, the range of chance. At the longest lags all lines rise,
# chance too: the first symbol is always the same. The letters here are mostly noise, which the task does not need. The
# dotted line is the untrained network. It has an orthogonal matrix, and so remembers noise well. A trained network may
# remember *less* noise than an untrained one, and still solve the task. The probe shows what a linear readout finds,
# not what the network uses.
#
# How do gradients flow?
# ----------------------
#
# **Question.** Could the network have learned from what it read long ago?

show("gradient_by_lag")

# %%
# **Answer.** The picture has the length of the gradient of the last loss, k steps back, on a logarithmic axis. A
# straight fall over many powers of ten means that the network cannot learn from what is far back:
# :doc:`02_why_the_rnn_forgets` has such a case. A flat line means that it can.
#
# What do the weights do?
# -----------------------
#
# **Question.** Where are the eigenvalues of the recurrent matrix, and did training move them?

show("eigenvalues")

# %%
# **Answer.** Open circles are the start: an orthogonal matrix has them all on the unit circle. Filled circles are the
# trained matrix. Points that stay near the circle keep what they carry; points inside forget it.
#
# What is in the hidden state?
# ----------------------------
#
# **Question.** How does the state move while the network reads one sequence, and how does training change this path?

show("trajectory")

# %%
# **Answer.** Each panel is a moment of the training, and the last one is the trained network. The state has 32
# numbers; the picture has the two directions along which it varies most, and the axes say how much of the variance
# they have. A low share is a warning: most of what happens is not in the picture.
#
# What the report cannot do for you
# ---------------------------------
#
# Each picture is one network with one seed. Before you write that "orthogonal networks do X", train others:
# ``rnn-tasks analyze RUN_A RUN_B`` puts up to four of them into one report, and :doc:`/analysis` says what each
# measurement means and how it is tested.
#
# Exercises
# ---------
#
# 1. Train with ``model="rnn"``, torch's own start. Which picture tells you first why it is worse?
# 2. Set ``"trainer.max_steps": 40``. Is the network at a plateau? Which two of the four answers does it confuse?
# 3. Open ``index.html`` of the report in a browser, and read the captions: each has the numbers of its picture.
