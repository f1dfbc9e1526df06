"""
Watch a network learn
=====================

A network reads one letter after another, and must repeat each letter four steps later. You will see what its task is,
train it for some seconds, watch its answers become right, and look at the states that make this possible.
"""

from functools import partial

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.analysis import hidden_states
from rnn_tasks.callbacks import Reorthogonalize
from rnn_tasks.cores import Elman, Orthogonal
from rnn_tasks.models import SequenceTagger
from rnn_tasks.tasks import Echo

# %%
# The task
# --------
#
# A batch of the task has inputs and targets: letters as numbers, a row for each sequence, a column for each step. No
# answer is due in the first four steps, so these steps are not scored (-100). From then on the target is the input of
# four steps ago.

task = Echo(delay=4)
batch = task.train_batch(0)
print("inputs ", batch.inputs[0].tolist())
print("targets", batch.targets[0].tolist())

# %%
# A network that guesses is right once in 26 times. The loss of a guess is the logarithm of 26. Both are exact, and
# stand beside all results.

print(f"a guess: accuracy {task.baseline.accuracy:.4f}")
print(f"         loss {task.baseline.loss:.3f} nats per step")

# %%
# The network
# -----------
#
# The layer is Elman's, h_t = tanh(W h_(t-1) + U x_t + b), with 256 units. Its recurrent matrix W starts orthogonal,
# and ``Reorthogonalize`` makes W orthogonal again after each step of training. So W only rotates the state: what the
# network has read does not fade.

torch.manual_seed(0)
core = partial(Elman, hidden_size=256, recurrent_init=Orthogonal())
optimizer = partial(torch.optim.Adam, lr=0.005)
model = SequenceTagger(core, task.spec, optimizer, recurrent_lr_factor=0.2)


# %%
# Training
# --------
#
# Lightning's Trainer trains. This callback asks the network the same string after every step, and keeps its answers
# and its accuracy.


class Watch(Callback):
    """Keep the answers to a string, and the accuracy, after each step."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps: list[int] = []
        self.answers: list[str] = []
        self.accuracies: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the network."""
        self.steps.append(trainer.global_step)
        self.answers.append(str(model.respond(self.text)))
        self.accuracies.append(float(trainer.callback_metrics["val/accuracy"]))


watch = Watch("watchanetworklearn")
trainer = Trainer(
    max_steps=12,
    val_check_interval=1,
    num_sanity_val_steps=0,
    callbacks=[Reorthogonalize(), watch],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(model, task)
print(f"  read  {watch.text}")
for step, answer in zip(watch.steps, watch.answers, strict=True):
    print(f"step {step:2d}  {answer}")

# %%
# The answers become the string itself, four places to the right.

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(watch.steps, watch.accuracies, marker="o", label="network")
ax.axhline(task.baseline.accuracy, color="gray", linestyle="--", label="guess")
ax.set(xlabel="training step", ylabel="accuracy in the validation", ylim=(0, 1.03))
ax.legend(loc="center right")
plt.show()

# %%
# The states
# ----------
#
# Where is the letter in the four steps in between? In the pattern of all units. The picture has the first 40 units
# while the network reads one sequence. No unit stands for a letter, and none keeps its value: the matrix W turns the
# pattern at each step, and the readout knows what a letter looks like after four turns.

states = hidden_states(model.network, task.train_batch(0))[0]
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
image = ax.imshow(states[:, :40].T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
ax.set(xlabel="step", ylabel="unit")
figure.colorbar(image, label="hidden state")
plt.show()

# %%
# On the command line, ``rnn-tasks fit --config echo`` trains this network, and ``rnn-tasks explore echo`` shows these
# states in a page in which you can type.
