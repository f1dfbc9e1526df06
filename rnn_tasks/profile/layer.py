"""The profiled layer: built from its config, and checked before any training."""

import contextlib
import inspect
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import yaml

from rnn_tasks.analysis.look_ahead import first_look_ahead
from rnn_tasks.cli.trainer import run_trainer
from rnn_tasks.cli.working_folder import allow_named_modules
from rnn_tasks.cores import Core
from rnn_tasks.errors import UsageError, brief, require
from rnn_tasks.networks import Network
from rnn_tasks.runs.find import section
from rnn_tasks.runs.trained_network import build_network
from rnn_tasks.studies.plan import Plan
from rnn_tasks.tasks import TemporalOrder

TRIAL_STEPS = 12
"""Steps of the sequences of the trial run."""


@dataclass(frozen=True)
class ProfiledLayer:
    """A layer that can be profiled.

    Attributes:
        name: Its name in tables.
        network: The untrained network of the task temporal order, on the CPU, in evaluation mode.
        class_name: The import path of its class.
        description: The first paragraph of the docstring of its class; empty without one.
        options: The section ``core`` of its config with all values.
        constraint: The section ``constraint``; None without one.
        other_settings: What its config sets beside these, as text by dotted option name.
    """

    name: str
    network: Network
    class_name: str
    description: str
    options: Mapping[str, Any]
    constraint: Any
    other_settings: Mapping[str, Any]


def build_layer(plan: Plan, other_settings: Mapping[str, Any]) -> ProfiledLayer:
    """Build the layer of a profile, and check that it can be trained and does not look ahead.

    Args:
        plan: The study of the profile, see :func:`rnn_tasks.profile.plan.profile_plan`.
        other_settings: What the config of the layer sets beside the layer.

    Raises:
        UsageError: The layer cannot be built, is not called as a layer must be, or looks ahead.
        SystemExit: The config has a mistake, which is printed.
    """
    (layer,) = plan.axes["layer"]
    arguments = plan.arguments(plan.runs()[0])
    allow_named_modules(arguments)
    config = resolved_config(arguments)
    core = section(section(config["model"], "init_args"), "core")
    name = str(section(core, "init_args").get("layer") or core.get("class_path"))
    try:
        network = build_network(config["model"], TemporalOrder().spec)
    except UsageError:
        raise
    except Exception as error:  # a class of the user may raise anything
        raise UsageError(f"{name} cannot be built: {brief(str(error)) or type(error).__name__}") from error
    check_layer(network.core, name)
    documented = type(getattr(network.core, "layer", network.core))
    return ProfiledLayer(
        layer.name,
        network,
        f"{documented.__module__}.{documented.__qualname__}",
        first_paragraph(documented.__doc__ or ""),
        core,
        config.get("constraint"),
        other_settings,
    )


def resolved_config(arguments: list[str]) -> dict[str, Any]:
    """Return the config of a run with the values of all options, without starting the run.

    Args:
        arguments: The arguments of ``rnn-tasks`` that train the run.

    Raises:
        SystemExit: The config has a mistake, which is printed.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # it need not see those of the process
            run_trainer([*arguments, "--print_config"])
    except SystemExit as end:
        if end.code:
            raise
    config: dict[str, Any] = yaml.safe_load(printed.getvalue())
    return config


def check_layer(core: Core, name: str) -> None:
    """Raise a UsageError unless a layer runs forward and backward, has the right outputs, and does not look ahead.

    Args:
        core: The layer.
        name: Its name in messages.
    """
    inputs = torch.randn(3, TRIAL_STEPS, core.input_size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            outputs, state = core(inputs, None)
            shape = tuple(outputs.shape)
            core(inputs, state)
            if outputs.requires_grad:
                outputs.sum().backward()
        core.zero_grad()
        expected = (3, TRIAL_STEPS, core.hidden_size)
        require(shape == expected, f"{name} must return outputs of shape {expected} for such a batch, got {shape}")
        evidence = first_look_ahead(core, core.input_size)
    except UsageError:
        raise
    except Exception as error:  # a class of the user may raise anything
        raise UsageError(f"{name} cannot be trained: {brief(str(error)) or type(error).__name__}") from error
    if evidence is not None:
        raise UsageError(f"{name} looks ahead, so a profile would not show its memory: {evidence.text}")


def first_paragraph(docstring: str) -> str:
    r"""Return the first paragraph of a docstring on one line.

    Example:
        >>> first_paragraph("\n    A layer\n    that forgets.\n\n    Args:\n        size: ...\n")
        'A layer that forgets.'
    """
    return " ".join(inspect.cleandoc(docstring).partition("\n\n")[0].split())
