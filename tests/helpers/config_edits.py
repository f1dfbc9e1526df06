"""Random edits of the shipped configs, and the command line up to the training."""

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from rnn_tasks.cli.exit_status import one_line_errors
from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.cli.trainer import CLI
from rnn_tasks.spec import TaskSpec
from rnn_tasks.tasks import Task
from tests.helpers.configs import MODELS, PUBLISHED, TASKS

KINDS = ("misspelt", "removed", "retyped", "duplicated", "out_of_range")

OTHER_TYPES = (
    "abc",
    "[1, 2]",
    "{a: 1}",
    "[]",
    "{}",
    "null",
    "true",
    "3.7",
    "-1",
    "''",
    "'1e-3'",
    "2020-01-01",
    "[[abc]]",
)
HUGE = "1000000000000000000"
EXTREMES = (
    "-1",
    "0",
    "1",
    "-0.5",
    "1.5",
    "1e30",
    "-1e30",
    ".nan",
    ".inf",
    "1000000000000000000",
    "-9223372036854775809",
)


class PreparedCLI(CLI):
    """The command ``fit`` up to the training: it checks the data and builds the optimizer, but takes no step.

    The parser is made once, since this takes longer than parsing. It does not read ``base.yaml``, whose callbacks
    take longer to parse than all other settings.
    """

    made: ClassVar[dict[str, Any]] = {}

    def setup_parser(self, *arguments: Any) -> None:
        """Make the parser, or use the parser that an earlier object made."""
        if not self.made:
            before = set(vars(self))
            super().setup_parser(*arguments)
            for parser in self._subcommand_parsers.values():
                parser.default_config_files = []
            self.made.update({name: value for name, value in vars(self).items() if name not in before})
        vars(self).update(self.made)

    def spec_of(self, task: Task) -> TaskSpec:
        """Return the spec of the task: there is no checkpoint, and the parser belongs to an earlier object."""
        return task.spec

    def _run_subcommand(self, subcommand: str) -> None:
        self.datamodule.trainer = self.model.trainer = self.trainer
        self.datamodule.check()
        self.model.configure_optimizers()


class ParsingCLI(PreparedCLI):
    """The command ``fit`` up to the creation of its objects."""

    def instantiate_classes(self) -> None:
        """Create nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def parse(*arguments: str) -> dict[str, Any]:
    """Return the configuration of ``rnn-tasks fit``, with the default values of all classes except the callbacks.

    Args:
        arguments: The arguments after ``fit``.

    Raises:
        SystemExit: The arguments or the configs are refused.
    """
    with one_line_errors():
        config: dict[str, Any] = ParsingCLI(args=["fit", *arguments]).section.as_dict()
    return config


def prepare(arguments: list[str]) -> None:
    """Run ``rnn-tasks`` with these arguments up to the training.

    Args:
        arguments: The arguments, such as ``["fit", "--config", "echo"]``.

    Raises:
        SystemExit: The arguments or the configs are refused.
    """
    with one_line_errors():
        PreparedCLI(args=arguments)


@dataclass(frozen=True)
class Edit:
    """An edited config.

    Attributes:
        kind: One of ``KINDS``.
        description: The config, the path of the key, and the edit.
        text: The YAML after the edit.
        recipe: Names of the configs that are read before the edited config.
    """

    kind: str
    description: str
    text: str
    recipe: tuple[str, ...]


def sections(node: yaml.Node, path: str = "") -> Iterator[tuple[yaml.MappingNode, int, str]]:
    """Yield each key below a node as its mapping, its position in the mapping, and its dotted path."""
    if isinstance(node, yaml.MappingNode):
        for position, (key, value) in enumerate(node.value):
            yield node, position, f"{path}.{key.value}"
            yield from sections(value, f"{path}.{key.value}")
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from sections(value, f"{path}[{number}]")


def misspelt(name: str, draw: random.Random) -> str:
    """Return a name with one letter left out, doubled, replaced, or exchanged with the next letter."""
    position = draw.randrange(len(name))
    letter = name[position]
    changes = ["", 2 * letter, draw.choice("aeixz_"), name[position + 1 : position + 2] + letter]
    return name[:position] + draw.choice([change for change in changes if change != letter]) + name[position + 1 :]


def random_edit(draw: random.Random) -> Edit:
    """Return a random edit of a random shipped config.

    Args:
        draw: The source of randomness.
    """
    names = ["base", "watch", *TASKS, *TASKS, *(f"published/{name}" for name in PUBLISHED)]
    names += [f"models/{name}" for name in MODELS]
    names += [path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.glob("models/*/*.yaml")]
    name, kind = draw.choice(names), draw.choice(KINDS)
    root = yaml.compose((CONFIGS / f"{name}.yaml").read_text())
    assert root is not None
    keys = list(sections(root))
    numbers = [found for found in keys if found[0].value[found[1]][1].tag.rpartition(":")[2] in ("int", "float")]
    mapping, position, path = draw.choice(numbers if kind == "out_of_range" and numbers else keys)
    key, value = mapping.value[position]
    what = ""
    if kind == "misspelt":
        while what in ("", *(other.value for other, _ in mapping.value)):
            what = misspelt(key.value, draw)
        mapping.value[position] = (yaml.ScalarNode(key.tag, what), value)
    elif kind == "removed":
        del mapping.value[position]
    elif kind == "duplicated":
        mapping.value.insert(draw.randrange(len(mapping.value) + 1), copy.deepcopy((key, value)))
    else:
        what = draw.choice(OTHER_TYPES if kind == "retyped" else EXTREMES)
        if key.value == "num_layers" and what == HUGE:
            what = "0"  # so many layers would be built one by one
        mapping.value[position] = (key, yaml.compose(what))
    recipe: tuple[str, ...] = ()
    if name.startswith("models/") and name.count("/") == 2:
        task = name.rpartition("/")[2].replace("language_model", "elman_grammar")
        recipe = (task, name.rpartition("/")[0])
    elif name.startswith("models/") or name in ("base", "watch"):
        recipe = (draw.choice(TASKS),)
    return Edit(kind, f"{name}{path} {kind} {what}".rstrip(), yaml.serialize(root), recipe)


def edits(seed: int, count: int) -> list[Edit]:
    """Return random edits of the shipped configs.

    Args:
        seed: Seed of the random choices.
        count: Number of edits.
    """
    draw = random.Random(seed)
    return [random_edit(draw) for _ in range(count)]


def arguments_of(edit: Edit, path: Path, text_file: Path) -> list[str]:
    """Write an edited config, and return the arguments that read it.

    Args:
        edit: The edit.
        path: The path of the file to write.
        text_file: The text for recipes that need a file.
    """
    path.write_text(edit.text)
    arguments = ["fit", *(word for name in edit.recipe for word in ("--config", name)), "--config", str(path)]
    needs_file = "text" in edit.recipe or edit.description.startswith("text.")
    return [*arguments, f"--data.path={text_file}"] if needs_file else arguments
