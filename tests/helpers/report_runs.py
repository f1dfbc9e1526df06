"""Runs with small untrained networks, for tests of the report."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnn_tasks.cores import Core, Elman
from rnn_tasks.networks import LanguageNetwork, Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.report.run_data import RunData, evaluation_batch
from rnn_tasks.runs.curves import Curve
from rnn_tasks.tasks import Task
from rnn_tasks.tasks.language_task import LanguageTask


def small_network(task: Task, hidden_size: int = 6) -> Network:
    """Return a small network for a task."""
    core: Any = partial(Elman, hidden_size=hidden_size)
    if isinstance(task, LanguageTask):
        return LanguageNetwork(core, task.spec).eval()
    return (RegressorNetwork if task.spec.real_targets else TaggerNetwork)(core, task.spec).eval()


def make_run(task: Task, label: str = "run/version_0", **parts: Any) -> RunData:
    """Return a run of a task with two small untrained networks.

    Args:
        task: The task.
        label: The label of the run.
        **parts: Attributes of the run that replace the defaults.
    """
    defaults = {
        "config": {},
        "summary": {},
        "network": small_network(task),
        "untrained": small_network(task),
        "batch": evaluation_batch(task),
    }
    defaults |= {"snapshots": None, "curves": {}, "checkpoint": Path("best.ckpt")}
    return RunData(label=label, folder=Path(), task=task, **{**defaults, **parts})


def curve(*values: float) -> Curve:
    """Return a curve with a value at every tenth step, counted from 0 as in Lightning."""
    return Curve(10 * np.arange(1, len(values) + 1) - 1, np.array(values))


class Register(Core):
    """A shift register: a layer whose hidden state contains the inputs of the last steps.

    Args:
        input_size: The number of input features.
        length: The number of stored steps, including the current step.
    """

    def __init__(self, input_size: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.hidden_size = input_size * length

    def forward(self, inputs: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Return the inputs of the last steps, the newest first, and no state."""
        time = inputs.shape[1]
        padded = torch.nn.functional.pad(inputs, (0, 0, self.length, 0))
        return torch.cat([padded[:, self.length - lag :][:, :time] for lag in range(self.length)], -1), None

    def recurrent_weights(self) -> dict[str, torch.Tensor]:
        """Return no weights."""
        return {}

    def input_weights(self) -> list[torch.Tensor]:
        """Return no weights."""
        return []


def register_network(task: Any, length: int) -> TaggerNetwork:
    """Return a network whose layer is a shift register."""
    return TaggerNetwork(lambda size: Register(size, length), task.spec).eval()
