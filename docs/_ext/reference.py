"""Writes docs/reference/ before each build: commands from their help, recipes and overlays from their YAML, modules from the package."""

import importlib
import io
import os
import pkgutil
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx

import rnn_tasks
from rnn_tasks.commands import COMMANDS, main

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
TRAINER_COMMANDS = ("fit", "validate", "test", "predict")
STUDY_COMMANDS = ("run", "report", "list", "collect")

PACKAGES = {
    "From Python": "tasks cores models networks callbacks analysis spec manual_bptt errors",
    "Run folders, texts, pictures": "runs texts plots",
    "What commands are made of": "commands cli studies report explorer printable",
}
"""The subpackages and modules of the package, by heading of the page of the reference."""


def help_of(*command: str) -> str:
    """Return what a command prints with ``--help``, in lines of at most 90 characters, without paths of this machine."""
    output, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "92"
    with redirect_stdout(output), suppress(SystemExit):
        main([*command, "--help"])
    if columns is None:
        del os.environ["COLUMNS"]
    else:
        os.environ["COLUMNS"] = columns
    return output.getvalue().replace(f"{ROOT}{os.sep}", "").rstrip()


def commands_page() -> str:
    """Return the page of all commands with their help."""
    commands: list[tuple[str, ...]] = [(name,) for name in (*TRAINER_COMMANDS, *sorted(COMMANDS))]
    position = commands.index(("study",)) + 1
    commands[position:position] = [("study", name) for name in STUDY_COMMANDS]
    parts = [
        "# Commands\n",
        "Each command prints this help with `--help`. The options of a class, such as a task or a layer, are printed by",
        "`rnn-tasks fit --config echo --model.core.help Elman` (`--data.help Echo`, `--trainer.callbacks.help StopAtAccuracy`).",
        "`make help` lists the make targets, all tasks and all models. The exit status of the commands is explained in",
        "[run folders and resuming](../runs.md#what-can-be-relied-on).\n",
    ]
    for command in commands:
        name = " ".join(command)
        parts += [f"## `rnn-tasks {name}`\n", "```{code-block} text", ":class: help\n", help_of(*command), "```\n"]
    return "\n".join(parts)


def about(config: Path) -> str:
    """Return the comment lines with which a config begins, as one paragraph."""
    lines = []
    for line in config.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def yaml_line(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict) and set(value) <= {"class_path", "init_args"}:
        arguments = ", ".join(f"{name}={yaml_line(each)}" for name, each in (value.get("init_args") or {}).items())
        return f"{value['class_path']}({arguments})"
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def options(section: dict[str, Any]) -> str:
    """Return the options of a section of a config, each as code."""
    return ", ".join(f"`{name}: {yaml_line(value)}`" for name, value in section.items())


def first_sentence(text: str) -> str:
    """Return a text up to its first full stop or colon with a space behind it."""
    return re.split(r"(?<=\w\w)[.:;](?:\s|$)", text, maxsplit=1)[0]


def section(config: Path, facts: dict[str, str]) -> str:
    """Return the section of a config: its comment lines, a link to it, and facts that are not empty."""
    name = config.stem
    lines = [f"({config.parent.name}-{name})=", f"### `{name}`\n", f"{about(config)} [YAML](../../{config.relative_to(ROOT).as_posix()})\n"]
    return "\n".join([*lines, *(f"- {fact}: {text}" for fact, text in facts.items() if text), ""])


def overview(configs: list[Path]) -> str:
    """Return a table of configs: the name of each, which leads to its section, and the first sentence about it."""
    rows = (f"| [`{each.stem}`](#{each.parent.name}-{each.stem}) | {first_sentence(about(each))} |" for each in configs)
    return "\n".join(["| name | content |", "|---|---|", *rows, ""]).replace("\\", "")


def recipe(config: Path) -> str:
    """Return the section of a recipe."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    data, model, trainer = (content.get(part) or {} for part in ("data", "model", "trainer"))
    arguments = dict(model.get("init_args") or {})
    core = arguments.pop("core", None)
    budget = {key: trainer[key] for key in ("max_steps", "max_epochs", "max_time") if key in trainer}
    task, kind = data.get("class_path"), model.get("class_path")
    facts = {
        "task": f"`{task}` {options(data.get('init_args') or {})}" if task else "",
        "layer": f"`{yaml_line(core)}`" if core else "",
        "model": f"`{kind}` {options(arguments)}" if kind else "",
        "budget": options(budget),
    }
    return section(config, facts)


def overlay(config: Path) -> str:
    """Return the section of an overlay."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings = dict(content["model"]["init_args"])
    core = settings.pop("core", None)
    others = settings | {name: value for name, value in content.items() if name != "model"}
    tasks = [path.stem for path in sorted(config.with_suffix("").glob("*.yaml"))]
    facts = {
        "layer": f"`{yaml_line(core)}`" if core else "that of the recipe",
        "other settings": options(others),
        "has rates and a budget of its own for": ", ".join(f"`{task}`" for task in tasks),
    }
    return section(config, facts)


def recipes_page() -> str:
    """Return the page of all recipes."""
    own = [path for path in sorted(CONFIGS.glob("*.yaml")) if path.stem not in ("base", "watch")]
    published = sorted((CONFIGS / "published").glob("*.yaml"))
    return "\n".join(
        [
            "# Recipes\n",
            "A recipe is a config with a task, a network and a budget: `rnn-tasks fit --config NAME`, or `make train TASK=NAME`.",
            "Every recipe is read after [base](../../configs/base.yaml), which has the settings of all runs.",
            "[watch](../../configs/watch.yaml) adds monitors to any recipe: `--config watch`. [Tasks](../tasks.md) has the",
            "meaning of each option, and [change a setting](../extending.md#change-a-setting) says how to override one.\n",
            "## Recipes of the package\n",
            overview(own),
            *map(recipe, own),
            "## Published recipes\n",
            "These recipes are as they were published: `rnn-tasks fit --config published/NAME`.",
            "[Published results](../reproduce.md) compares their results with the published ones.\n",
            overview(published),
            *map(recipe, published),
        ]
    )


def overlays_page() -> str:
    """Return the page of all overlays."""
    configs = sorted((CONFIGS / "models").glob("*.yaml"))
    return "\n".join(
        [
            "# Overlays\n",
            "An overlay replaces the layer of a recipe: `rnn-tasks fit --config echo --config models/NAME`, or",
            "`make train TASK=echo MODEL=NAME`. [Layers](../layers.md) explains the layers.\n",
            overview(configs),
            "## Settings\n",
            *map(overlay, configs),
        ]
    )


def modules(name: str) -> Iterator[str]:
    """Yield the public modules of a package, or the module itself."""
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
        if not module.name.startswith("_"):
            yield f"{name}.{module.name}"


def module_page(name: str) -> str:
    """Return the page of a package or module: each public name once, in the module that defines it."""
    package = importlib.import_module(name)
    inner = list(modules(name))
    parts = [name, "=" * len(name), "", f".. automodule:: {name}", ""]
    exported = getattr(package, "__all__", []) if inner else []
    if not exported:
        parts.insert(-1, "   :members:")
    if exported:
        names = ", ".join(f":py:obj:`~{name}.{each}`" for each in exported)
        parts += [f"Import these names from ``{name}``: {names}.", ""]
    for module in inner:
        parts += [module, "-" * len(module), "", f".. automodule:: {module}", "   :members:", "   :show-inheritance:", ""]
    return "\n".join(parts)


def api_page() -> str:
    """Return the page that lists the packages and modules."""
    parts = ["# Python API\n", "Each public name is documented once, in the module that defines it.\n"]
    for heading, names in PACKAGES.items():
        parts += [f"## {heading}\n", "| module | content |", "|---|---|"]
        for name in names.split():
            line = str(importlib.import_module(f"rnn_tasks.{name}").__doc__).splitlines()[0].replace("``", "`")
            parts.append(f"| [rnn_tasks.{name}]({name}.rst) | {line} |")
        parts += ["", "```{toctree}", ":hidden:\n", *names.split(), "```\n"]
    return "\n".join(parts)


def citation_page() -> str:
    """Return the page that says how to cite the package, from CITATION.cff."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}" for author in cff["authors"]
    )
    year = str(cff.get("date-released", ""))[:4]
    fields = {"author": f"{{{authors}}}", "title": f"{{{cff['title']}}}", "version": cff["version"], "year": year}
    bibtex = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join(
        [
            "# Citation\n",
            f"{cff['message']}\n",
            "```bibtex",
            "@software{rnn_tasks,",
            *bibtex,
            "}",
            "```\n",
            f"Licence: {cff['license']}. The same as [CITATION.cff](../../CITATION.cff). Results of others are cited on the page of",
            "[references](../references.md), which says for each source what it is used for.",
            "",
        ]
    )


def write_pages(app: Sphinx) -> None:
    """Write the pages whose content has changed, and remove those of earlier builds."""
    listed = {f"rnn_tasks.{name}" for names in PACKAGES.values() for name in names.split()}
    missing = set(modules("rnn_tasks")) - listed
    if missing:
        raise RuntimeError(f"PACKAGES in docs/_ext/reference.py lacks {', '.join(sorted(missing))}")
    pages = {
        "commands.md": commands_page(),
        "recipes.md": recipes_page(),
        "overlays.md": overlays_page(),
        "citation.md": citation_page(),
        "api/index.md": api_page(),
    }
    pages |= {f"api/{name.removeprefix('rnn_tasks.')}.rst": module_page(name) for name in listed}
    folder = Path(app.srcdir) / "reference"
    for old in folder.rglob("*.*"):
        if old.is_file() and old.relative_to(folder).as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
