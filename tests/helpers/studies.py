"""A tiny study, and processes that do its runs."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import yaml

TINY: dict[str, Any] = {
    "about": "A tiny one.",
    "configs": "echo",
    "set": {
        "trainer.val_check_interval": 2,
        "data.batch_size": 4,
        "data.val_sequences": 9,
        "data.test_sequences": 9,
        "model.core.hidden_size": 8,
    },
    "axes": {"network": {"rnn": {"configs": "models/rnn"}, "qr": {"configs": "models/qr_rnn"}}},
    "seeds": [0],
    "budget": {"steps": 4},
}


def made_summary(steps: int, **metrics: float) -> str:
    """Return the contents of the ``summary.json`` of a run that was never trained.

    Args:
        steps: The number of its steps.
        **metrics: Its metrics by name.
    """
    counts = {"parameters": 1, "steps": steps, "solved_at": None, "sequences": steps, "time_steps": steps}
    names = {"task": None, "model": "Made", "core": "Made", "stopped": "steps"}
    return json.dumps({**names, **counts, "seconds": 1.0, "metrics": metrics})


def plan_file(**changes: Any) -> str:
    """Write the tiny study into the working folder, and return its path.

    Args:
        **changes: Keys of the study that replace its own.
    """
    Path("tiny.yaml").write_text(yaml.safe_dump({**TINY, **changes}, sort_keys=False))
    return "tiny.yaml"


def start_worker(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start a process that runs the tiny study of the working folder.

    Args:
        *arguments: More arguments of ``rnn-tasks study run``.
    """
    command = [sys.executable, "-m", "rnn_tasks", "study", "run", "tiny.yaml", *arguments]
    # A shell starts background jobs with SIGINT ignored, and their processes inherit this.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=heed)
