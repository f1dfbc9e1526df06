"""Reading checkpoints: only tensors and plain values, so that no code in a file is executed."""

import copy
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.errors import UsageError

MAX_DEPTH = 50
"""The largest depth of a nested structure in a file."""

CONTAINERS = (dict, list, tuple, set, frozenset)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the checkpoint of a model with :func:`read_tensors`.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing, damaged, or not the checkpoint of a model.
    """
    checkpoint = read_tensors(path)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UsageError(f"{path} is not a checkpoint of a model")
    return checkpoint


def read_tensors(path: Path) -> Any:
    """Read tensors and plain values from a file, onto the CPU; no code in the file is executed.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing, damaged, or holds other objects.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files that it did not write
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"there is no checkpoint {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a checkpoint") from error
    except PermissionError as error:
        raise UsageError(f"{path} cannot be read: permission denied") from error
    except Exception as error:  # torch raises many types of exceptions for a damaged file
        raise UsageError(
            f"{path} cannot be loaded: it is damaged, or holds objects other than tensors and plain values"
        ) from error
    if depth(contents, MAX_DEPTH) > MAX_DEPTH:
        raise UsageError(f"{path} cannot be loaded: it is damaged, its values are nested too deeply")
    return contents


def depth(value: Any, limit: int) -> int:
    """Return the number of nested dictionaries, lists, tuples and sets; ``limit + 1`` for all that exceed a limit.

    Args:
        value: The outermost object.
        limit: The limit, ``>= 0``.

    Example:
        >>> depth({"a": [1, (2,)]}, 9), depth({"a": [1, (2,)]}, 1)
        (3, 2)
    """
    level = {id(value): value} if isinstance(value, CONTAINERS) else {}
    for number in range(limit + 1):
        if not level:
            return number
        items = [
            item for parent in level.values() for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
        level = {id(item): item for item in items if isinstance(item, CONTAINERS)}
    return limit + 1


def training_state_problem(checkpoint: Mapping[str, Any]) -> str | None:
    """Return why training cannot continue from a checkpoint; None if its training state has the expected structure.

    Checked are the parts that Lightning restores (loops, optimizers, schedules, callbacks that save checkpoints) and
    those of this package (the summary of the run and the random-number state). The states of other callbacks are not
    checked. :func:`optimizer_problem` compares the state of the optimizer with the model.

    Args:
        checkpoint: The contents of the checkpoint.

    Returns:
        The end of a sentence about the checkpoint, such as ``its loops are missing or damaged``.
    """
    for name, is_valid in TRAINING_STATE.items():
        if not is_valid(checkpoint.get(name)):
            return f"its {name} is missing or damaged"
    fit_loop, callbacks = checkpoint["loops"]["fit_loop"], checkpoint["callbacks"]
    steps = [fit_loop[AUTOMATIC]["optimizer"]["step"]["total"], fit_loop[MANUAL]["total"]]
    if checkpoint["global_step"] not in [progress["completed"] for progress in steps]:
        return "its loops do not fit its global_step"
    if not all(map(is_saving_state, callbacks.values())):
        return "the state of a callback that saves checkpoints is damaged"
    own = checkpoint.get("rnn_tasks")
    by_command_line = isinstance(own, dict) and own.get("config") is not None
    if ("RunSummary" in callbacks or by_command_line) and not is_summary_state(callbacks.get("RunSummary")):
        return "the state of the callback RunSummary is missing or damaged"
    if ("rng" in checkpoint or by_command_line) and not are_random_states(checkpoint.get("rng")):
        return "its rng, the state of the random-number generators, is missing or damaged"
    return None


def optimizer_problem(
    checkpoint: Mapping[str, Any], optimizers: Sequence[Optimizer], schedulers: Sequence[Any] = ()
) -> str | None:
    """Return why the optimizers of a model cannot continue from a checkpoint; None if they can.

    A copy of each optimizer loads its state and makes a step with gradients of zero.

    Args:
        checkpoint: The contents of the checkpoint, for which :func:`training_state_problem` returns None.
        optimizers: The optimizers of the model, in the precision and on the device of the training.
        schedulers: The schedulers of torch, each with a method ``state_dict``.

    Returns:
        The end of a sentence about the checkpoint.
    """
    states, schedules = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
    if len(states) != len(optimizers):
        return f"it holds the state of {len(states)} optimizers, and the model has {len(optimizers)}"
    own = checkpoint.get("rnn_tasks")
    names = own.get("optimizers") if isinstance(own, dict) else None
    classes = [type(optimizer).__name__ for optimizer in optimizers]
    if names is not None and names != classes:
        return f"it holds the state of another optimizer: {names} instead of {classes}"
    for optimizer, state in zip(optimizers, states, strict=True):
        name = type(optimizer).__name__
        missing = optimizer.defaults.keys() - set.intersection(*(set(group) for group in state["param_groups"]))
        if any(optimizer.defaults[key] is not None and type(optimizer.defaults[key]) is not bool for key in missing):
            return f"it holds the state of another optimizer than {name}: {', '.join(sorted(missing))} is missing"
        if not can_step(optimizer, state, is_trained=checkpoint["global_step"] > 0):
            return f"its state of the optimizer {name} is damaged, or belongs to another optimizer"
    if len(schedules) != len(schedulers):
        return f"it holds the state of {len(schedules)} schedules, and the model has {len(schedulers)}"
    for scheduler, state in zip(schedulers, schedules, strict=True):
        if not is_like(scheduler.state_dict(), state):
            return f"its state of the schedule {type(scheduler).__name__} is damaged, or belongs to another schedule"
    return None


def can_step(optimizer: Optimizer, state: dict[str, Any], is_trained: bool) -> bool:
    """Return whether an optimizer can continue from a state. The optimizer and its parameters stay unchanged.

    Args:
        optimizer: The optimizer.
        state: The state.
        is_trained: Whether the optimizer has made a step, after which an optimizer with a state has a state.
    """
    trial = copy.deepcopy(optimizer)
    try:
        trial.load_state_dict(copy.deepcopy(state))
        before = {parameter: set(values) for parameter, values in trial.state.items() if values}
        for group in trial.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        parameters = [parameter for group in trial.param_groups for parameter in group["params"]]
        finite = [parameter for parameter in parameters if parameter.isfinite().all()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial.step(lambda: 0.0)
    except Exception:  # each optimizer raises other types of exceptions
        return False
    if not all(bool(parameter.isfinite().all()) for parameter in finite):
        return False
    if not before:
        return not is_trained or not any(trial.state.values())
    return all(set(trial.state[parameter]) == names for parameter, names in before.items())


def is_like(expected: Any, value: Any) -> bool:
    """Return whether a value has the structure of another: the same keys and lengths, and numbers where it has numbers.

    Keys that begin with an underscore may be missing, because they change with the version of torch.

    Args:
        expected: The other value; anything is like None.
        value: The value.

    Example:
        >>> is_like({"rates": [0.1], "best": None}, {"rates": [1], "best": 3}), is_like([0.1], [None])
        (True, False)
    """
    if isinstance(expected, dict):
        if not isinstance(value, dict):
            return False
        return all(
            is_like(item, value[name]) if name in value else str(name).startswith("_")
            for name, item in expected.items()
        )
    if isinstance(expected, list | tuple):
        if not isinstance(value, list | tuple) or len(expected) != len(value):
            return False
        return all(is_like(one, other) for one, other in zip(expected, value, strict=True))
    if isinstance(expected, bool | str):
        return type(value) is type(expected)
    return is_number(value) if isinstance(expected, int | float) else True


def fits(template: Any, value: Any) -> bool:
    """Return whether a value has the keys of a template, and values of the types in it; counts are at least 0.

    Args:
        template: A type, or a dictionary of templates by key.
        value: The value.

    Example:
        >>> fits({"ready": int}, {"ready": 3, "more": None}), fits({"ready": int}, {"ready": 3.0})
        (True, False)
    """
    if isinstance(template, dict):
        return isinstance(value, dict) and all(
            name in value and fits(item, value[name]) for name, item in template.items()
        )
    return type(value) is template and (template is not int or value >= 0)


def is_count(value: Any) -> bool:
    """Return whether a value is an integer that is at least 0."""
    return type(value) is int and value >= 0


def is_number(value: Any) -> bool:
    """Return whether a value is a number or a tensor with one real number, other than NaN."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex() and not bool(value.isnan().any())
    return type(value) in (int, float) and not math.isnan(value)


def is_version(value: Any) -> bool:
    """Return whether a value is the version of Lightning."""
    return isinstance(value, str) and re.match(r"[1-9]\d*\.\d+", value) is not None


def are_weights(value: Any) -> bool:
    """Return whether a value is a dictionary of tensors by name."""
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(weight, Tensor) for name, weight in value.items()
    )


def are_loops(value: Any) -> bool:
    """Return whether a value is the progress of the loops of Lightning."""
    if not fits({"fit_loop": FIT_LOOP}, value):
        return False
    loaders = value["fit_loop"]["state_dict"].get("combined_loader", [])
    return isinstance(loaders, list) and all(isinstance(loader, dict) for loader in loaders)


def are_states(value: Any) -> bool:
    """Return whether a value is a list of dictionaries."""
    return isinstance(value, list) and all(isinstance(state, dict) for state in value)


def are_optimizer_states(value: Any) -> bool:
    """Return whether a value is a list of at least one state of an optimizer."""
    if (
        not are_states(value)
        or not value
        or not all(fits({"state": dict, "param_groups": list}, item) for item in value)
    ):
        return False
    for state in value:
        groups = state["param_groups"]
        if not groups or not all(fits({"params": list}, group) and is_number(group.get("lr")) for group in groups):
            return False
        indices = [index for group in groups for index in group["params"]]
        if not all(map(is_count, indices)) or not all(
            index in indices and isinstance(values, dict) for index, values in state["state"].items()
        ):
            return False
    return True


def are_callbacks(value: Any) -> bool:
    """Return whether a value is a dictionary by name."""
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def is_saving_state(state: Any) -> bool:
    """Return whether the state of a callback is valid, if the callback is a ModelCheckpoint."""
    if not isinstance(state, dict) or MODEL_CHECKPOINT.keys().isdisjoint(state):
        return True
    if not all(name in state and is_valid(state[name]) for name, is_valid in MODEL_CHECKPOINT.items()):
        return False
    return state["kth_best_model_path"] in ("", *state["best_k_models"])


def is_summary_state(state: Any) -> bool:
    """Return whether a value is the state of the callback RunSummary."""
    return (
        fits({"sequences": int, "metrics": dict}, state)
        and (state.get("solved_at", "") is None or is_count(state.get("solved_at")))
        and is_count(state.get("time_steps", 0))
        and is_number(state.get("seconds"))
        and all(isinstance(name, str) and type(metric) in (int, float) for name, metric in state["metrics"].items())
    )


def are_random_states(states: Any) -> bool:
    """Return whether a value is a list with the states of torch's random-number generators, one item per process."""
    if not isinstance(states, list) or not states:
        return False
    for state in states:
        if not fits({"cpu": Tensor}, state) or not is_bytes(state.get("cuda", state["cpu"])):
            return False
        try:
            torch.Generator().set_state(state["cpu"])
        except (RuntimeError, TypeError):
            return False
    return True


def is_bytes(value: Any) -> bool:
    """Return whether a value is a tensor of bytes, ``(n,)``."""
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and value.ndim == 1 and len(value) > 0


READY = {"ready": int, "completed": int}
STARTED = {**READY, "started": int}
PROCESSED = {**STARTED, "processed": int}
BATCHES = {"total": PROCESSED, "current": PROCESSED, "is_last_batch": bool}

AUTOMATIC = "epoch_loop.automatic_optimization.optim_progress"
MANUAL = "epoch_loop.manual_optimization.optim_step_progress"

FIT_LOOP = {
    "state_dict": dict,
    "epoch_progress": {"total": PROCESSED, "current": PROCESSED},
    "epoch_loop.state_dict": {"_batches_that_stepped": int},
    "epoch_loop.batch_progress": BATCHES,
    "epoch_loop.val_loop.batch_progress": BATCHES,
    "epoch_loop.scheduler_progress": {"total": READY, "current": READY},
    AUTOMATIC: {
        "optimizer": {
            "step": {"total": READY, "current": READY},
            "zero_grad": {"total": STARTED, "current": STARTED},
        }
    },
    MANUAL: {"total": READY, "current": READY},
}
"""The progress of the training in a checkpoint of Lightning 2."""

MODEL_CHECKPOINT: dict[str, Callable[[Any], bool]] = {
    "best_model_path": lambda value: isinstance(value, str),
    "best_model_score": lambda value: value is None or is_number(value),
    "best_k_models": lambda value: are_callbacks(value) and all(map(is_number, value.values())),
    "kth_best_model_path": lambda value: isinstance(value, str),
    "kth_value": is_number,
    "last_model_path": lambda value: isinstance(value, str),
    "dirpath": lambda value: value is None or isinstance(value, str),
}
"""The values in the state of a ModelCheckpoint, and the check of each."""

TRAINING_STATE: dict[str, Callable[[Any], bool]] = {
    "pytorch-lightning_version": is_version,
    "epoch": is_count,
    "global_step": is_count,
    "state_dict": are_weights,
    "loops": are_loops,
    "callbacks": are_callbacks,
    "optimizer_states": are_optimizer_states,
    "lr_schedulers": are_states,
}
"""The parts of a checkpoint from which training continues, and the check of each."""
