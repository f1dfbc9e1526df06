"""
Watch a network learn
=====================

A network reads one letter after another, and must repeat each letter four steps later. You will train such a network
for some seconds, watch its answers become right, and find out where it keeps the letters in between.
"""

from functools import partial

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.linear_probe import linear_probe
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

SEED = 0
task = Echo(delay=4, val_sequences=200, seed=SEED)
batch = task.train_batch(0)
print("inputs ", batch.inputs[0].tolist())
print("targets", batch.targets[0].tolist())

# %%
# **Question.** How good is a network that has learned nothing? It guesses one of 26 letters. Its accuracy and its
# loss, the logarithm of 26, are exact, and stand beside every result.

print(f"a guess: accuracy {task.baseline.accuracy:.4f}, loss {task.baseline.loss:.3f} nats per step")

# %%
# The network
# -----------
#
# The layer is Elman's, h_t = tanh(W h_(t-1) + U x_t + b), with 128 units. A linear readout maps the state h_t to a
# score for each letter. The recurrent matrix W starts orthogonal, and ``Reorthogonalize`` makes W orthogonal again
# after each training step. So W only rotates the state, and what the network has read hardly fades.
# :doc:`02_why_the_rnn_forgets` shows what happens otherwise.

torch.manual_seed(SEED)
core = partial(Elman, hidden_size=128, recurrent_init=Orthogonal())
model = SequenceTagger(core, task.spec, partial(torch.optim.Adam, lr=0.005), recurrent_lr_factor=0.2)
untrained = hidden_states(model.network, batch)


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
        self.steps.append(trainer.global_step)
        self.answers.append(str(model.respond(self.text)))
        self.accuracies.append(float(trainer.callback_metrics["val/accuracy"]))


watch = Watch("watchanetworklearn")
trainer = Trainer(
    max_steps=20,
    val_check_interval=1,
    callbacks=[Reorthogonalize(), watch],
    num_sanity_val_steps=0,
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
# **Question.** When does the network start to answer right? Read the answers from top to bottom: at first they are
# arbitrary letters, at the end they are the string itself, four places to the right. The accuracy over 200 sequences
# says how far it has come after each step.

figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
ax.plot(watch.steps, watch.accuracies, color="#12476b", marker="o", markersize=4, label="network")
ax.axhline(task.baseline.accuracy, color="black", linewidth=0.9, linestyle="--", label="a guess")
ax.set(xlabel="training steps", ylabel="accuracy in the validation", ylim=(0, 1.03))
ax.legend(loc="center right")
plt.show()
print(f"accuracy after {watch.steps[-1]} steps: {watch.accuracies[-1]:.3f}")

# %%
# **Answer.** It leaves the line of a guess within a few steps, and is nearly always right after 20 steps. One step is
# one batch of 64 sequences.
#
# Where are the letters?
# ----------------------
#
# A letter has to be somewhere during the four steps in between. **Question.** Is there a unit that holds it? The
# picture has the first 40 units while the network reads one sequence.

states = hidden_states(model.network, batch)
figure, ax = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
limit = float(states[0].abs().max())
image = ax.imshow(states[0, :, :40].T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
ax.set(xlabel="time step", ylabel="unit")
figure.colorbar(image, label="hidden state")
plt.show()

# %%
# **Answer.** None that the eye can find. A unit that held a letter for four steps would show a bar of one colour. Here
# every unit changes at nearly every step: W turns the whole pattern.
#
# **Question.** Then is the letter in the pattern of all units? A *linear probe* tries to read it: for each lag k, a
# linear classifier is fitted that says, from the state, which letter was read k steps ago. Its accuracy is measured on
# other sequences. We probe the network before and after training.

lags = (0, 2, 4, 6, 8)
probes = {
    "before training": linear_probe(untrained, batch.inputs, lags, num_shuffles=3),
    "after training": linear_probe(states, batch.inputs, lags, num_shuffles=3),
}
figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for (name, probe), line in zip(probes.items(), ("--", "-"), strict=True):
    ax.plot(probe.lags, probe.accuracy, color="#12476b", linestyle=line, marker="o", markersize=4, label=name)
ax.fill_between(probe.lags, probe.low, probe.high, color="0.85", label="chance")
ax.axvline(task.delay, color="0.5", linewidth=0.9, label="delay of the task")
ax.set(xlabel="lag, time steps", ylabel="accuracy of the probe", ylim=(-0.03, 1.03))
figure.legend(loc="outside lower center", ncols=2)
plt.show()
for name, probe in probes.items():
    print(f"{name}: accuracy at lag 4 {probe.accuracy[2]:.2f}, at lag 8 {probe.accuracy[4]:.2f}")

# %%
# **Answer.** Yes.
#
# Ask it yourself
# ---------------
#
# The network answers any string of small letters. The first four steps have no answer, so they are spaces.

print(repr(model.respond("helloworld")))

# %%
# On the command line, ``rnn-tasks fit --config echo`` trains such a network, and ``rnn-tasks explore echo`` shows its
# states in a page in which you can type. In Python, ``rnn_tasks.train("echo")`` does the same as the first command.
#
# Exercises
# ---------
#
# 1. Change the delay: ``Echo(delay=8)``. How many steps does the network need now?
# 2. Leave out ``Reorthogonalize()``, or ``recurrent_init=Orthogonal()``, or both. What does the curve look like?
# 3. Use fewer units: 64, 32, 16. From which size on do the answers get worse?
# 4. Ask for letters that repeat: ``model.respond("aaaaaaaabbbbbbbb")``. Is the network right at the change?
