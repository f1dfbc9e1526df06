"""What the tests do with the code blocks of a page."""

import argparse
import importlib.util
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from sybil import Example
from sybil.evaluators.python import PythonEvaluator

from rnn_tasks.commands import COMMANDS, run_command
from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, PlannedRun, Variant
from rnn_tasks.studies.plan_file import KEYS, plan_from, read_plan
from tests.helpers.command_line import CommandResult, RnnTasks, small
from tests.helpers.documentation import COMMAND_LANGUAGES, ROOT, Command, commands_of

TRAINER = ("fit", "validate", "test", "predict")
PLACEHOLDER = re.compile(r"\b[A-Z_]{3,}\b(?!=)|\.\.\.")
"""What stands for a value of the reader, such as ``RUN`` and ``TASK=...``."""

LONG = ("study", "profile", "reproduce")
"""Commands that take minutes."""

LONG_OPTIONS = {"--trainer.devices", "--output"}
"""Options of commands that start processes, or that write a report of several runs, which takes 5 s."""

ECHO = ["fit", "--config", "echo"]
"""The first command of a reader. It takes 3 s, so it runs as the pages show it."""

Words = Sequence[str]


class ParsedError(Exception):
    """Stops a command after its arguments are parsed.

    Args:
        options: The parsed arguments.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self.options = options


class Checker:
    """Checks the blocks of a page in the working folder.

    Args:
        rnn_tasks: Runs a command line in this process.
    """

    def __init__(self, rnn_tasks: RnnTasks) -> None:
        self.rnn_tasks = rnn_tasks
        self.run_python = PythonEvaluator()

    def __call__(self, example: Example) -> None:
        """Run or check a block.

        Args:
            example: The block.
        """
        language, text = str(example.region.lexemes["language"]), str(example.parsed)
        if example.region.lexemes["file"]:
            Path(str(example.region.lexemes["file"])).write_text(text)
        if language == "python":
            self.run_python(example)
        elif language == "yaml":
            self.check_yaml(text)
        elif language == "toml":
            tomllib.loads(text)
        elif language in COMMAND_LANGUAGES:
            for command in commands_of(text):
                self.command(command)

    def command(self, command: Command) -> None:
        """Check a command line.

        Args:
            command: The command line.
        """
        check_command(command, self)

    def check_yaml(self, text: str) -> None:
        """Check a config or a study.

        Args:
            text: The YAML.
        """
        values = yaml.safe_load(text)
        if values.keys() <= KEYS:
            plan = plan_from(values, "study", "study.yaml")
            for position in (0, -1):
                run = PlannedRun({axis: variant_at(plan, axis, position) for axis in plan.axes}, plan.seeds[0])
                Path("overlay.yaml").write_text(yaml.safe_dump(plan.overlay(run)))
                self.check_fit(plan.arguments(run, ["overlay.yaml"] if plan.overlay(run) else []))
        else:
            Path("block.yaml").write_text(text)
            recipe = [] if {"data", "model"} <= values.keys() else ["--config", "echo"]
            self.check_fit(["fit", *recipe, "--config", "block.yaml"])

    def check_fit(self, arguments: Words) -> None:
        """Let a command of the trainer read its arguments.

        Args:
            arguments: The arguments, beginning with the command.
        """
        read = self.rnn_tasks(*arguments, "--print_config")
        assert (read.status, read.err) == (0, ""), f"{shlex.join(arguments)}: {read.err}"


class Runner(Checker):
    """Trains the configs of a page, and runs its commands in their order. Training is shortened.

    Args:
        rnn_tasks: Runs a command line in this process.
    """

    def __init__(self, rnn_tasks: RnnTasks) -> None:
        super().__init__(rnn_tasks)
        self.has_trained = False

    def __call__(self, example: Example) -> None:
        if str(example.region.lexemes["language"]) != "python":  # Checker runs Python
            super().__call__(example)

    def command(self, command: Command) -> None:
        """Run a command line and compare its output.

        Args:
            command: The command line.
        """
        arguments = self.arguments_to_run(command)
        if arguments is not None:
            done = self.rnn_tasks(*arguments)
            assert done.status == 0, f"{shlex.join(arguments)}: {done.err}"
            if command.output is not None:
                require_output(command.output, done)

    def arguments_to_run(self, command: Command) -> list[str] | None:
        """Return the arguments of ``rnn-tasks`` with which a command runs.

        None for commands that take long, or need runs that the page does not train.

        Args:
            command: The command line.
        """
        words = make_words(command.words) if command.words[0] == "make" else command.words
        words = words[1:] if words[:1] == ("srun",) else words
        if not words or Path(words[0]).name != "rnn-tasks" or words[1] in LONG or not LONG_OPTIONS.isdisjoint(words):
            return None
        if words[1] == "fit":
            self.has_trained = True
            return shortened(words[1:])
        return list(words[1:]) if self.has_trained else None

    def check_fit(self, arguments: Words) -> None:
        """Train a network.

        Args:
            arguments: The arguments, beginning with ``fit``.
        """
        trained = self.rnn_tasks(*shortened(arguments))
        assert trained.status == 0, f"{shlex.join(arguments)}: {trained.err}"


def shortened(arguments: Words) -> list[str]:
    """Return the arguments of ``fit`` for a run of a second, or of 3 s for the first command of a reader.

    Args:
        arguments: The arguments of a page.
    """
    if list(arguments) == ECHO:
        return ECHO
    return [*arguments, *small(arguments[arguments.index("--config") + 1])]


def variant_at(plan: Plan, axis: str, position: int) -> Variant:
    """Return the first or the last variant of an axis.

    Args:
        plan: The study.
        axis: The name of the axis.
        position: 0 or -1.
    """
    drawn = plan.ranges.get(axis)
    return plan.axes[axis][position] if drawn is None else drawn.variant((drawn.low, drawn.high)[position])


def check_command(command: Command, checker: Checker) -> None:
    """Check that a command line is accepted.

    Args:
        command: The command line. One with a placeholder, such as ``RUN``, is checked as far as possible.
        checker: Reads the arguments of the trainer's commands.
    """
    words = command.words[1:] if command.words[0] == "srun" else command.words
    program, first = Path(words[0]).name, words[1] if len(words) > 1 else ""
    if program == "make":
        recipe = make_words(words)
        if recipe:
            check_command(replace(command, words=recipe), checker)
    elif program == "rnn-tasks":
        check_rnn_tasks(replace(command, words=words[1:]), checker)
    elif program == "python" and first == "-m":
        assert importlib.util.find_spec(words[2]), f"there is no module {words[2]}"
    elif program == "python":
        assert first.startswith("lightning_logs/") or (ROOT / first).is_file(), f"there is no file {first}"
    elif program == "pip" and words[1:] in (("install",), ("install", "-e")):
        assert command.in_sentence, "pip install what?"
    elif program == "pip" and first == "install":
        check_pip_install(words[-1])
    else:
        assert program == "tensorboard", f"unknown program {program}"


def check_pip_install(what: str) -> None:
    """Check what pip is told to install: an extra, a folder, a locked package, or a name that the reader replaces.

    Args:
        what: The last word of the command.
    """
    extra = re.fullmatch(r"rnn-tasks\[(\w+)\]", what)
    if extra:
        assert extra[1] in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    else:
        locked = re.search(rf"^{re.escape(what)}==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        assert (ROOT / what).is_dir() or locked or what.isupper(), f"there is no package {what}"


def check_rnn_tasks(command: Command, checker: Checker) -> None:
    """Check that ``rnn-tasks`` accepts arguments.

    Args:
        command: The command line without ``rnn-tasks``.
        checker: Reads the arguments of the trainer's commands.

    Raises:
        UsageError: An argument is wrong.
    """
    name, *arguments = command.words
    assert name in (*COMMANDS, *TRAINER), f"there is no command {name}"
    is_template = any(PLACEHOLDER.search(word) for word in arguments)
    if name in TRAINER or name == "resume":
        if arguments and not is_template:  # the run that is resumed is the name of a task
            checker.check_fit([name, *arguments] if name in TRAINER else ["fit", "--config", *arguments])
        return
    try:
        options = parsed([name, *(re.sub(r"[][]", "", word) for word in arguments if word != "...")])
    except UsageError as error:
        if not command.in_sentence or "arguments are required" not in str(error):
            raise
        return
    if name == "study" and options.action in ("run", "report") and not is_template:
        read_plan(options.name, options.large)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the arguments of a command of this package, parsed by its parser; the command does not run.

    Args:
        arguments: The arguments of ``rnn-tasks``.
    """

    def stop(parser: OneLineParser, arguments: list[str]) -> NoReturn:
        raise ParsedError(argparse.ArgumentParser.parse_args(parser, arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OneLineParser, "parse_args", stop)
        with pytest.raises(ParsedError) as stopped:
            run_command(arguments, from_shell=False)
    return stopped.value.options


def make_words(words: Words) -> tuple[str, ...]:
    """Return the command line that a line of make runs; empty if make runs no program with ``ARGS``.

    Args:
        words: The words of the line, beginning with ``make``.
    """
    variables = re.findall(r"^([A-Z]+) \??=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for word in words[1:]:
        assert "=" not in word or word.split("=")[0] in variables, f"make has no variable {word}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # make ran pytest
    command = [*words, "--dry-run", "--no-print-directory"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{shlex.join(words)}: {result.stderr}"
    recipe = shlex.split(result.stdout.strip().splitlines()[-1])
    if "tools/with_args.py" not in recipe:
        return ()
    last = next(word.removeprefix("ARGS=") for word in recipe if word.startswith("ARGS="))
    return (*recipe[recipe.index("tools/with_args.py") + 1 :], *shlex.split(last))


def require_output(expected: str, done: CommandResult) -> None:
    """Check that the last lines that a command has printed are those that a page shows; progress may precede them.

    Sums are rounded differently by other processors, and a run may be solved one validation earlier or later. So
    whole numbers may differ by a quarter and decimal fractions by 0.01. Seconds are not compared, nor is the
    folder of the program, nor the number of the run, which depends on earlier runs.

    Args:
        expected: The lines of the page.
        done: The result of the command.
    """
    number = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w])")

    def parts(text: str) -> tuple[str, list[str]]:
        text = re.sub(r"\b[\d.]+ s\b", "SECONDS", text.replace(".venv/bin/", "").rstrip())
        text = re.sub(r"version_\d+", "version_N", text)
        return number.sub("NUMBER", text), number.findall(text)

    end = done.out.rstrip().splitlines()[-len(expected.splitlines()) :]
    (shown, shown_numbers), (printed, printed_numbers) = parts(expected), parts("\n".join(end))
    assert printed == shown, f"the page shows\n{shown}\nprinted was\n{printed}"
    for one, other in zip(shown_numbers, printed_numbers, strict=True):
        tolerance: Any = {"abs": 0.01} if "." in one else {"rel": 0.25}
        assert float(other.replace(",", "")) == pytest.approx(float(one.replace(",", "")), **tolerance)
