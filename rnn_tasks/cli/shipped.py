"""The configs that come with the package."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CONFIGS = next((path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if path.is_dir()), PACKAGE)
"""The shipped configs: inside the package in a wheel, beside it in a checkout."""


def shipped(name: str) -> Path | None:
    """The shipped config of this name, such as ``echo`` or ``models/gru``."""
    path = CONFIGS / f"{name}.yaml"
    return path if path.is_file() else None


def shipped_names() -> list[str]:
    """The names of all shipped configs that can be given to ``--config``."""
    found = [path.relative_to(CONFIGS).with_suffix("") for path in sorted(CONFIGS.rglob("*.yaml"))]
    return [name.as_posix() for name in found if name.parts[0] != "studies" and len(name.parts) <= 2]
