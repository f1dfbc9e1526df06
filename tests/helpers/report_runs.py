"""Runs made by hand."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnn_tasks.cores import Core, Elman
from rnn_tasks.networks import LanguageNetwork, Network, TaggerNetwork
from rnn_tasks.report.run_data import RunData, sequences
from rnn_tasks.runs.tensorboard_log import Curve
from rnn_tasks.tasks import Task
from rnn_tasks.tasks.language_task import LanguageTask


def network_of(task: Task, hidden_size: int = 6) -> Network:
    """A small network for a task."""
    core: Any = partial(Elman, hidden_size=hidden_size)
    kind = LanguageNetwork if isinstance(task, LanguageTask) else TaggerNetwork
    return kind(core, task.spec).eval()


def made(task: Task, label: str = "made/version_0", **parts: Any) -> RunData:
    """A run of a task with two small networks that have not learnt anything.

    Args:
        task: The task.
        label: Of the run.
        **parts: Of the run, instead of its own.
    """
    own = {
        "config": {},
        "summary": {},
        "network": network_of(task),
        "untrained": network_of(task),
        "batch": sequences(task),
    }
    own |= {"snapshots": None, "curves": {}, "checkpoint": Path("best.ckpt")}
    return RunData(label=label, folder=Path(), task=task, **{**own, **parts})


def curve(*values: float) -> Curve:
    """A curve with a value at every tenth step, as Lightning counts them."""
    return Curve(10 * np.arange(1, len(values) + 1) - 1, np.array(values))


class Register(Core):
    """A layer that shifts what it reads by one place at each step, so that it remembers a known number of steps.

    Args:
        input_size: Features of the input.
        length: Steps that are remembered, that of the present one among them.
    """

    def __init__(self, input_size: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.hidden_size = input_size * length

    def forward(self, inputs: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """The inputs of the last steps, the newest first; the state is not carried on."""
        time = inputs.shape[1]
        padded = torch.nn.functional.pad(inputs, (0, 0, self.length, 0))
        return torch.cat([padded[:, self.length - lag :][:, :time] for lag in range(self.length)], -1), None

    def recurrent_weights(self) -> dict[str, torch.Tensor]:
        """None."""
        return {}

    def input_weights(self) -> list[torch.Tensor]:
        """None."""
        return []


def remembers(task: Any, length: int) -> TaggerNetwork:
    """A network whose layer holds the inputs of the last steps."""
    return TaggerNetwork(lambda size: Register(size, length), task.spec).eval()
