"""Trained networks and training from Python: what ``rnn_tasks.load`` and ``rnn_tasks.train`` are."""

import json
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rnn_tasks.cli.process_state import restored_process_state
from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.cli.working_folder import allow_modules_of_run, allow_named_modules
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import InterruptedRunError, UsageError, require
from rnn_tasks.networks import LanguageNetwork, Network, TaggerNetwork
from rnn_tasks.runs.data_text import data_text
from rnn_tasks.runs.files import read_summary
from rnn_tasks.runs.find import RunLocation, find_run, read_config
from rnn_tasks.runs.summary_html import summary_html
from rnn_tasks.runs.trained_network import load_network


class TrainedRun:
    """A trained run: its network, its results and its answers.

    In a notebook, a run shows its verdict, its results and its learning curve.

    Args:
        location: The run, and perhaps one of its checkpoints. Without a checkpoint, the network has the best weights.
        trust: Whether the run's config.yaml may name classes of packages other than rnn_tasks and torch, and so may
            execute any code.

    Attributes:
        folder: The run folder, an absolute path.
        summary: The contents of ``summary.json``; empty if the run has none yet. Read when the object was made.
    """

    def __init__(self, location: RunLocation, trust: bool = False) -> None:
        self.folder = location.folder.absolute()
        self.summary: dict[str, Any] = read_summary(self.folder)
        self._location = location
        self._trust = trust

    def __repr__(self) -> str:
        return f"TrainedRun({str(self.folder)!r})"

    @cached_property
    def network(self) -> Network:
        """The trained network, on the CPU, in evaluation mode.

        Raises:
            UsageError: See :func:`load`.
        """
        if self._trust:
            allow_modules_of_run(self.folder)
        return load_network(self._location, self._trust)

    def respond(self, texts: str | Sequence[str], delay: int | None = None) -> str | list[str]:
        """Return the network's answers to strings, as ``rnn-tasks respond`` prints them.

        Args:
            texts: A string or several strings of the task's letters.
            delay: The delay of the answer; required if the network was trained on several delays.

        Returns:
            One answer for each string, with a space at every step that is not scored: a string if ``texts`` is a
            string, otherwise a list.

        Raises:
            UsageError: A letter is outside the alphabet, the delay was not trained, or the task has no strings.
        """
        network = self.network
        require(network.spec.vocabulary is None, "this network was trained on text; use generate()")
        if not isinstance(network, TaggerNetwork):
            raise UsageError(NO_STRINGS)
        return network.respond(texts, delay)

    def generate(self, prefix: str | None = None, length: int = 200, temperature: float = 0.7, seed: int = 0) -> str:
        """Return a text that continues a prefix, as ``rnn-tasks generate`` prints it.

        Args:
            prefix: The text to continue, at least one character; None for the prefix of the task. Characters outside
                the vocabulary are read as ``<unk>``.
            length: Number of characters to generate, ``>= 0``.
            temperature: Randomness, ``>= 0``; 0 always takes the most probable character.
            seed: Random seed.

        Returns:
            The prefix and the generated characters.

        Raises:
            UsageError: A value is outside its bounds, or the network was not trained on text.
        """
        network = self.network
        if not isinstance(network, LanguageNetwork) or network.spec.vocabulary is None:
            raise UsageError("this network was not trained on text; use respond()")
        prefix = network.spec.vocabulary.prefix if prefix is None else prefix
        return network.generate(prefix, length, temperature, seed)

    @torch.no_grad()
    def states(self, text: str, delay: int | None = None) -> NDArray[np.float32]:
        """Return the outputs of the recurrent layer at every step of a string.

        Args:
            text: A string of the task's letters, which may be followed by inputs that the task adds, such as the blanks
                of copy; or any text, of at least one character, for a network that was trained on text.
            delay: As in :meth:`respond`.

        Returns:
            The outputs, ``(time, features)``.

        Raises:
            UsageError: See :meth:`respond`.
        """
        network = self.network
        if network.spec.vocabulary is not None:
            require(bool(text), "give a text of at least one character")
            inputs, condition = network.spec.vocabulary.encode(text)[None], None
        elif network.spec.codec is not None:
            batch = network.spec.codec.encode([text], delay)
            inputs, condition = batch.inputs, batch.condition
        else:
            raise UsageError(NO_STRINGS)
        with evaluation_mode(network):
            outputs, _ = network.core(network.encode(inputs, condition))
        states: NDArray[np.float32] = outputs[0].numpy()
        return states

    def _repr_html_(self) -> str:
        """Return verdict, results and learning curve for a notebook."""
        try:
            task = data_text(read_config(self.folder))
        except UsageError:  # a damaged config.yaml
            task = ""
        return summary_html(self.summary, self.folder, task)


NO_STRINGS = (
    "the task of this run has no strings: its inputs or outputs are not characters; call run.network with tensors"
)
"""The error message of what only tasks with strings have."""


def load(name: str | Path, trust: bool = False) -> TrainedRun:
    """Load a trained run.

    Args:
        name: A run folder, a checkpoint in it, or the name of a task (its newest run).
        trust: Whether the run's config.yaml may name classes of packages other than rnn_tasks and torch, and so may
            execute any code. Only if you trust everyone who could write into the run folder.

    Returns:
        The run, with its network.

    Raises:
        UsageError: The run does not exist or is damaged, its weights are not finite, or its config names a class of
            another package and is not trusted.
    """
    run = TrainedRun(find_run(str(name)), trust)
    _ = run.network  # fail now rather than at the first use
    return run


def train(task: str | Path, model: str | Path | None = None, seed: int | None = None, **options: Any) -> TrainedRun:
    """Train a network as ``rnn-tasks fit`` does, with the same run folder and the same results, bit for bit.

    ``train("echo", model="gru", seed=1, **{"data.delay": 8})`` runs what ``rnn-tasks fit --config echo
    --config models/gru --seed_everything 1 --data.delay 8`` runs. Progress and closing lines are printed. Random
    generators, signal handlers, warning filters and environment variables are afterwards as they were.

    Args:
        task: The name of a recipe, such as ``echo``, or the path of a YAML file.
        model: The name of an overlay, such as ``gru``, or the path of a YAML file; None for the layer of the recipe.
        seed: The random seed; None for that of the recipe.
        options: Options of the command without the leading dashes, such as ``"trainer.max_steps": 100``. Values are
            numbers, strings, None, and lists and dictionaries of them.

    Returns:
        The run. It may name classes of your own.

    Raises:
        UsageError: An option is wrong, or the run cannot be tested, for instance with ``trainer.fast_dev_run``.
        DivergedError: The loss or a weight is not finite.
        InterruptedRunError: A signal such as SIGTERM has stopped the run, which can be resumed.
        KeyboardInterrupt: Ctrl-C has stopped the run, which can be resumed.
    """
    configs = {"config": str(task)}, {"config": overlay(str(model))} if model is not None else {}
    seeds = {} if seed is None else {"seed_everything": seed}
    arguments = ["fit", *(part for values in (*configs, seeds, options) for part in arguments_of(values))]
    with restored_process_state(), python_errors():
        allow_named_modules(arguments)
        with slow_import():
            from rnn_tasks.cli.trainer import run_trainer
            from rnn_tasks.runs.record import run_folder

        # Lightning warns if it receives arguments and the process has some too.
        warnings.filterwarnings("ignore", "LightningCLI's args parameter", UserWarning)
        folder = run_folder(run_trainer(arguments).trainer)
    if folder is None:
        raise UsageError("the run has no folder, because trainer.fast_dev_run is set; use rnn-tasks fit")
    return TrainedRun(RunLocation(folder), trust=True)


def overlay(model: str) -> str:
    """Return the config of a model: ``models/gru`` for ``gru``; a path of a YAML file as it is.

    Args:
        model: The name or the path.
    """
    return model if model.endswith((".yaml", ".yml")) or "/" in model else f"models/{model}"


def arguments_of(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield options as arguments of a command line.

    Args:
        options: The values by name.

    Raises:
        UsageError: A value cannot be written as an argument.

    Example:
        >>> list(arguments_of({"data.delay": 8, "trainer.logger": False, "model.core": "GRU", "data.lengths": [1, 2]}))
        ['--data.delay=8', '--trainer.logger=false', '--model.core=GRU', '--data.lengths=[1, 2]']
    """
    for name, value in options.items():
        if isinstance(value, str | Path):
            yield f"--{name}={value}"
            continue
        try:
            yield f"--{name}={json.dumps(value)}"
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{name} must be a number, a string, None, or a list or dictionary of them, got {value!r}"
            ) from error


@contextmanager
def python_errors() -> Iterator[None]:
    """Raise a KeyboardInterrupt where Ctrl-C has stopped a run; Lightning exits instead.

    Raises:
        KeyboardInterrupt: Ctrl-C has stopped the run of the block.
    """
    try:
        yield
    except InterruptedRunError as error:
        if error.signum == signal.SIGINT:
            raise KeyboardInterrupt from error
        raise
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
