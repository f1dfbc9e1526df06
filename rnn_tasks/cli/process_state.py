"""What a run changes in its process, and that a function called from Python must leave as it was."""

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed")
"""The loggers of Lightning whose level a run changes."""


@contextmanager
def restored_process_state() -> Iterator[None]:
    """Restore what a run changes in its process.

    This is the state of the random generators of Python, NumPy and torch; torch's number of threads and its settings of
    determinism; environment variables; signal handlers; warning filters; the levels of Lightning's loggers; and the
    hook for errors of threads.
    """
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(torch.random.fork_rng(cuda_devices()))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        is_deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        stack.callback(torch.use_deterministic_algorithms, is_deterministic, warn_only=warn_only)
        stack.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
        stack.callback(restore_environment, dict(os.environ))
        stack.callback(setattr, threading, "excepthook", threading.excepthook)
        for name in LOGGERS:
            stack.callback(logging.getLogger(name).setLevel, logging.getLogger(name).level)
        if threading.current_thread() is threading.main_thread():  # Python sets handlers in no other thread
            for signum in signal.valid_signals():
                handler = signal.getsignal(signum)
                if handler is not None:  # None: not set by Python
                    stack.callback(restore_handler, signum, handler)
        yield


def cuda_devices() -> list[int]:
    """Return the GPUs that the process uses; none if it has not used any yet."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]


def restore_environment(before: dict[str, str]) -> None:
    """Give the environment variables their earlier values.

    Args:
        before: The variables and their values.
    """
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def restore_handler(signum: int, handler: Any) -> None:
    """Set the handler of a signal if it has changed; the handlers of some signals cannot be set.

    Args:
        signum: The number of the signal.
        handler: The earlier handler.
    """
    if signal.getsignal(signum) != handler:
        signal.signal(signum, handler)
