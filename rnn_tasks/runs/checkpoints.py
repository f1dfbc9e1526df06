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
from rnn_tasks.runs.files import is_too_deep


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
    if is_too_deep(contents):
        raise UsageError(f"{path} cannot be loaded: it is damaged, its values are nested too deeply")
    return contents


def training_state_problem(checkpoint: Mapping[str, Any]) -> str | None:
    """Return why training cannot continue from a checkpoint; None if its training state has the expected structure.

    Checked are the parts that Lightning restores (loops, optimizers, schedules, callbacks that save checkpoints), and
    the random-number state and the callbacks of this package. :func:`callback_problem` compares all callbacks with
    those of a trainer, and :func:`optimizer_problem` the optimizer with that of the model.

    Args:
        checkpoint: The contents of the checkpoint.

    Returns:
        The end of a sentence about the checkpoint, such as ``its loops are missing or damaged``.
    """
    if not {"loops", "optimizer_states"} & checkpoint.keys():
        return "it holds weights, but no state of the optimizer and loops"
    for name, is_valid in TRAINING_STATE.items():
        if not is_valid(checkpoint.get(name)):
            return f"its {name} is missing or damaged"
    fit_loop, callbacks = checkpoint["loops"]["fit_loop"], checkpoint["callbacks"]
    steps = [fit_loop[AUTOMATIC]["optimizer"]["step"]["total"], fit_loop[MANUAL]["total"]]
    if checkpoint["global_step"] not in [progress["completed"] for progress in steps]:
        return "its loops do not fit its global_step"
    own = checkpoint.get("rnn_tasks")
    by_command_line = isinstance(own, dict) and own.get("config") is not None
    if by_command_line and "RunSummary" not in callbacks:
        return "the state of the callback RunSummary is missing"
    for name, state in callbacks.items():
        if not CALLBACKS.get(name, is_saving_state)(state):
            return f"the state of the callback {name.partition('{')[0]} is damaged"
    if ("rng" in checkpoint or by_command_line) and not are_random_states(checkpoint.get("rng")):
        return "its rng, the state of the random-number generators, is missing or damaged"
    return None


def callback_problem(checkpoint: Mapping[str, Any], callbacks: Sequence[Any]) -> str | None:
    """Return why callbacks cannot continue from a checkpoint; None if their states have the expected structure.

    Args:
        checkpoint: The contents of the checkpoint, for which :func:`training_state_problem` returns None.
        callbacks: The callbacks of Lightning, before any state is restored. A callback without a state is new.

    Returns:
        The end of a sentence about the checkpoint.
    """
    for callback in callbacks:
        state = checkpoint["callbacks"].get(callback.state_key, {})
        try:
            expected = callback.state_dict() if state else {}
        except Exception:  # of a callback that has no state before the training
            expected = {}
        if not is_like(expected, state):
            return f"the state of the callback {type(callback).__name__} is damaged"
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
    if isinstance(names, list) and names != classes:
        return f"it holds the state of another optimizer: {', '.join(map(str, names))} instead of {', '.join(classes)}"
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
        optimizer: The optimizer. One that cannot step in a copy, such as LBFGS, is not tried.
        state: The state.
        is_trained: Whether the optimizer has made a step, after which an optimizer with a state has a state.
    """
    try:
        trial_step(copy.deepcopy(optimizer))
    except Exception:
        return True
    trial = copy.deepcopy(optimizer)
    try:
        trial.load_state_dict(copy.deepcopy(state))
        before = {parameter: set(values) for parameter, values in trial.state.items() if values}
        finite = trial_step(trial)
    except Exception:  # each optimizer raises other types of exceptions
        return False
    if not before:
        return finite and not (is_trained and any(trial.state.values()))
    return finite and all(set(trial.state[parameter]) == names for parameter, names in before.items())


def trial_step(optimizer: Optimizer) -> bool:
    """Make a step with gradients of zero; return whether parameters that were finite are finite afterwards."""
    parameters: list[Tensor] = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    finite = [parameter for parameter in parameters if parameter.isfinite().all()]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.step(lambda: 0.0)
    return all(bool(parameter.isfinite().all()) for parameter in finite)


def is_like(expected: Any, value: Any) -> bool:
    """Return whether a value has the structure of another: the same keys and lengths, and numbers where it has numbers.

    Keys that begin with an underscore may be missing, because they change with the version of torch.

    Args:
        expected: The other value; anything is like None, and any list is like an empty one.
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
        if not isinstance(value, list | tuple) or (expected and len(expected) != len(value)):
            return False
        return all(is_like(one, other) for one, other in zip(expected, value, strict=False))
    if isinstance(expected, Tensor):
        return isinstance(value, Tensor) and value.is_complex() == expected.is_complex()
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
    """Return whether a value is the state of a callback; if the callback is a ModelCheckpoint, a complete state."""
    if not isinstance(state, dict) or not state:
        return False
    if MODEL_CHECKPOINT.keys().isdisjoint(state):
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
        and are_losses(state.get("first_losses", {}))
        and all(isinstance(name, str) and type(metric) in (int, float) for name, metric in state["metrics"].items())
    )


def are_losses(value: Any) -> bool:
    """Return whether a value holds losses by their index."""
    return isinstance(value, dict) and all(type(loss) is float for loss in value.values())


def is_eigenvalue_state(state: Any) -> bool:
    """Return whether a value is the state of the callback EigenvalueMonitor."""
    return (
        fits({"first": dict}, state)
        and are_weights(state["first"])
        and (state.get("first_step", "") is None or is_count(state.get("first_step")))
    )


def is_gradient_state(state: Any) -> bool:
    """Return whether a value is the state of the callback GradientLagMonitor."""
    if not fits({"steps": list, "norms": Tensor}, state) or not all(map(is_count, state["steps"])):
        return False
    norms = state["norms"]
    return norms.ndim == 2 and norms.is_floating_point() and len(norms) == len(state["steps"])


def is_recorder_state(state: Any) -> bool:
    """Return whether a value is the state of the callback SnapshotRecorder, which checks the snapshots itself."""
    return fits({"waiting": list}, state) and are_states(state["waiting"])


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
    "dirpath": lambda value: isinstance(value, str),
}
"""The values in the state of a ModelCheckpoint, and the check of each."""

CALLBACKS: dict[str, Callable[[Any], bool]] = {
    "RunSummary": is_summary_state,
    "SnapshotRecorder": is_recorder_state,
    "EigenvalueMonitor": is_eigenvalue_state,
    "GradientLagMonitor": is_gradient_state,
    "Reorthogonalize": lambda state: fits({"steps": int}, state),
}
"""The callbacks of this package that have a state, and the check of each state."""

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
