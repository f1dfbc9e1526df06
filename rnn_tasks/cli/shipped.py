"""The configs of the package."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CONFIGS = next((path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if path.is_dir()), PACKAGE)
"""The shipped configs: inside the package in a wheel, beside it in a checkout."""


def shipped(name: str) -> Path | None:
    """Return the path of a shipped config, such as ``echo`` or ``models/gru``; None if there is no such config."""
    path = CONFIGS / f"{name}.yaml"
    return path if path.is_file() else None


def shipped_names() -> list[str]:
    """Return the names of all shipped configs that ``--config`` accepts."""
    names = [path.relative_to(CONFIGS).with_suffix("") for path in sorted(CONFIGS.rglob("*.yaml"))]
    return [name.as_posix() for name in names if name.parts[0] != "studies" and len(name.parts) <= 2]
