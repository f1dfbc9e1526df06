"""The pages of all recipes and overlays, from their YAML."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
RECIPES = """# Recipes

A recipe is a config with a task, a network and a budget: `rnn-tasks fit --config NAME`, or `make train TASK=NAME`.
Every recipe is read after [base](../../configs/base.yaml), which has the settings of all runs.
[watch](../../configs/watch.yaml) adds monitors to any recipe: `--config watch`. [Tasks](../tasks.md) has the
meaning of each option, and [change a setting](../extending.md#change-a-setting) says how to override one.

## Recipes of the package
"""
PUBLISHED = """## Published recipes

These recipes are as they were published: `rnn-tasks fit --config published/NAME`.
[Published results](../reproduce.md) compares their results with the published ones.
"""
OVERLAYS = """# Overlays

An overlay replaces the layer of a recipe: `rnn-tasks fit --config echo --config models/NAME`, or
`make train TASK=echo MODEL=NAME`. [Layers](../layers.md) explains the layers.
"""


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
    """Return a text up to the first full stop that ends a word of at least two letters."""
    return re.split(r"(?<=\w\w)\.(?:\s|$)", text, maxsplit=1)[0]


def section(config: Path, facts: dict[str, str]) -> str:
    """Return the section of a config: its comment lines, a link to it, and facts that are not empty."""
    name = config.stem
    lines = [
        f"({config.parent.name}-{name})=",
        f"### `{name}`\n",
        f"{about(config)} [YAML](../../{config.relative_to(ROOT).as_posix()})\n",
    ]
    return "\n".join([*lines, *(f"- {fact}: {text}" for fact, text in facts.items() if text), ""])


def overview(configs: list[Path]) -> str:
    """Return a table of configs: the name of each, which leads to its section, and the first sentence about it."""
    rows = (f"| [`{each.stem}`](#{each.parent.name}-{each.stem}) | {first_sentence(about(each))} |" for each in configs)
    return "\n".join(["| name | content |", "|---|---|", *rows, ""])


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
            RECIPES,
            overview(own),
            *map(recipe, own),
            PUBLISHED,
            overview(published),
            *map(recipe, published),
        ]
    )


def overlays_page() -> str:
    """Return the page of all overlays."""
    configs = sorted((CONFIGS / "models").glob("*.yaml"))
    return "\n".join(
        [
            OVERLAYS,
            overview(configs),
            "## Settings\n",
            *map(overlay, configs),
        ]
    )
