"""
Bring a layer and compare it
============================

You have an idea for a recurrent layer. Here you write one in a few lines, let the package check that it is a recurrent
layer at all, and compare it with two known layers in a way that does not fool you: with the same sequences for all,
and with several seeds.
"""

from functools import partial

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from rnn_tasks.cores import GRU, RNN, Core, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.models import SequenceTagger
from rnn_tasks.tasks import Echo

# %%
# The idea
# --------
#
# A tanh layer mixes everything it has read into one vector. Our layer keeps the inputs apart: it is a *delay line*
# with 16 slots. At each step every slot passes its content to the next one, and the first slot takes a projection of
# the new input. What has left the last slot is gone. The output is all slots together.
#
# A layer is built as ``layer(input_size, hidden_size)`` and called like ``torch.nn.RNN``: it returns the outputs
# ``(batch, time, hidden_size)`` and the state, from which a later call can continue.

SLOTS = 16


class DelayLine(nn.Module):
    """Keep projections of the last 16 inputs, one per slot."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, hidden_size // SLOTS)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        projected = self.project(inputs)
        if state is None:
            state = projected.new_zeros(len(inputs), SLOTS, projected.shape[-1])
        outputs = []
        for new in projected.unbind(1):
            state = torch.cat([new[:, None], state[:, :-1]], 1)
            outputs.append(state.flatten(1))
        return torch.stack(outputs, 1), state


# %%
# Is it a recurrent layer?
# ------------------------
#
# ``Foreign`` wraps any such class, and tries it before it trains: the sequences of a batch must not mix, no output may
# depend on a later input, and a sequence in two parts must give what the whole sequence gives. **Question.** What does
# it say to a layer that cheats? A bidirectional network reads the sequence from both ends.

print("DelayLine:", tuple(Foreign(27, 64, DelayLine)(torch.zeros(2, 10, 27))[0].shape))


class Cheat(nn.Module):
    """Half of the units read the sequence from its end."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.layer = nn.RNN(input_size, hidden_size // 2, batch_first=True, bidirectional=True)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor] = self.layer(inputs, state)
        return outputs


try:
    Foreign(27, 64, Cheat)
except UsageError as error:
    print("refused:", error)

# %%
# **Answer.** The layer is refused, with the step that gives it away. Without this check it would have solved tasks by
# reading the future.
#
# The comparison
# --------------
#
# The task is an echo: repeat each letter eight steps later. Three rules make the comparison fair enough to look at:
#
# - all layers have 64 outputs and the same optimizer, and train for the same number of steps;
# - with the same seed, all layers read the same sequences, as the task's batches depend on the seed alone;
# - every layer trains with three seeds, and we look at all of them, not at the best one.

SEED = 0
SEEDS = (SEED, SEED + 1, SEED + 2)
LAYERS: dict[str, partial[Core]] = {
    "DelayLine (ours)": partial(Foreign, hidden_size=64, layer=DelayLine),
    "RNN": partial(RNN, hidden_size=64),
    "GRU": partial(GRU, hidden_size=64),
}


class Accuracies(Callback):
    """Keep the accuracy of each validation."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.steps.append(trainer.global_step)
        self.values.append(float(trainer.callback_metrics["val/accuracy"]))


def train(core: partial[Core], seed: int) -> Accuracies:
    """Train a network for 100 steps."""
    task = Echo(delay=8, batch_size=32, val_sequences=100, seed=seed)
    torch.manual_seed(seed)
    model = SequenceTagger(core, task.spec, partial(torch.optim.Adam, lr=0.01))
    accuracies = Accuracies()
    trainer = Trainer(
        max_steps=100,
        val_check_interval=10,
        gradient_clip_val=1.0,
        callbacks=[accuracies],
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, task)
    return accuracies


results = {name: [train(core, seed) for seed in SEEDS] for name, core in LAYERS.items()}

# %%
# **Question.** Which layer learns the echo, and can we trust the difference?

figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
STYLES = (("#12476b", "-", "o"), ("#c0501f", "--", "s"), ("#5fae78", "-.", "^"))
for (name, runs), (color, line, marker) in zip(results.items(), STYLES, strict=True):
    for index, run in enumerate(runs):
        label = None if index else f"{name}, {len(runs)} seeds"
        ax.plot(run.steps, run.values, color=color, linestyle=line, marker=marker, markersize=3, label=label)
    print(f"{name}: accuracy after 100 steps, by seed:", *(f"{run.values[-1]:.3f}" for run in runs))
ax.axhline(Echo(delay=8).baseline.accuracy, color="black", linewidth=0.9, linestyle=":", label="a guess")
ax.set(xlabel="training steps", ylabel="accuracy in the validation", ylim=(0, 1.03))
figure.legend(loc="outside lower center", ncols=2)
plt.show()

ours = results["DelayLine (ours)"]
for name, runs in results.items():
    if runs is not ours:
        ahead = [mine.values[-1] > other.values[-1] for mine, other in zip(ours, runs, strict=True)]
        print(f"DelayLine is ahead of {name} with {sum(ahead)} of {len(ahead)} seeds")

# %%
# **Answer.** The lines of one layer stay together, and those of DelayLine are far above the others: the difference
# between layers is larger than the difference between seeds. We name a difference only if *all* pairs of runs with the
# same seed agree. With three seeds and two equally good layers that would still happen by chance in one of four
# comparisons: 2 times (1/2)³. With five seeds it is one in sixteen. So use more seeds before you believe a small
# difference.
#
# And what have we shown? That a delay line is good at a delay, within 100 steps, at one learning rate. It would be
# helpless with a delay above 16, or if the network had to compute something on the way: see
# :doc:`07_which_layer_for_which_memory`.
#
# With less code
# --------------
#
# Put the class into ``my_layer.py`` and three lines of YAML into ``my_layer.yaml`` (:doc:`/extending`). Then
# ``rnn-tasks fit --config echo --config my_layer.yaml`` trains it, a study (:doc:`/studies`) trains many layers and
# seeds and tunes each of them alike, and ``rnn-tasks profile my_layer.yaml`` writes a card with eight kinds of memory
# beside five known layers.
#
# Exercises
# ---------
#
# 1. Set ``SLOTS = 8``. Can the layer still solve the task? Which slot holds the letter of eight steps ago?
# 2. Let the layer forget slowly instead of at once: multiply each slot by 0.9 when it is passed on.
# 3. Count the parameters of the three networks: ``sum(p.numel() for p in model.parameters())``. Is the comparison
#    fair?
# 4. Give the RNN an orthogonal start: ``partial(RNN, hidden_size=64, recurrent_init=Orthogonal())``.
