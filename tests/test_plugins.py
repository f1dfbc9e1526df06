"""Installed plug-ins: how they are found, and what a broken one costs."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import pytest

from rnn_tasks import plugins as module
from rnn_tasks.plugins import import_plugins, is_installed, plugin_with, plugins
from tests.helpers.plugins import install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder that Python searches; forget the modules that a test imports from it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    module.warn.cache_clear()
    module.import_plugin.cache_clear()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is None or str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_configs_are_found_without_an_import(site: Path) -> None:
    fails = "raise RuntimeError"
    files = {"quiet/__init__.py": fails, "quiet/deep/__init__.py": fails, "quiet/deep/plugin.py": fails}
    install(site, "quiet", "quiet.deep.plugin", {**files, "quiet/deep/configs/a.yaml": ""})
    (plugin,) = plugins()
    assert plugin == ("quiet (quiet 1.0)", "quiet.deep.plugin", "quiet", site / "quiet/deep/configs")
    assert "quiet" not in sys.modules


@pytest.mark.parametrize(
    ("value", "package", "configs"),
    [
        ("space.inner.regular", "space.inner.regular", "space/inner/regular/configs"),
        ("space.inner.regular.plugin:attribute", "space.inner.regular", "space/inner/regular/configs"),
        ("alone", "alone", None),
        ("space.alone", "space.alone", "space/configs"),
        ("space", "space", "space/configs"),
        ("nowhere.at.all", "nowhere.at.all", None),
        ("space.nothing", "space.nothing", None),
    ],
)
def test_packages_of_all_kinds_are_found(site: Path, value: str, package: str, configs: str | None) -> None:
    names = ("space/inner/regular/__init__.py", "space/inner/regular/plugin.py", "alone.py", "space/alone.py")
    folders = ("space/inner/regular/configs/a.yaml", "space/configs/a.yaml", "configs/a.yaml")
    install(site, "kinds", value, dict.fromkeys([*names, *folders], ""))
    (plugin,) = plugins()
    assert plugin.package == package
    assert plugin.configs == (None if configs is None else site / configs)


def test_editable_installation_is_found(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class EditableFinder:
        """Finds a package outside ``sys.path``, as an editable installation of setuptools does."""

        @staticmethod
        def find_spec(
            name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
        ) -> ModuleSpec | None:
            return PathFinder.find_spec(name, [str(site / "checkout/src")]) if name == "editable" else None

    sys.meta_path.append(EditableFinder)
    install(site, "editable", "editable.plugin", {})
    for name in ("__init__.py", "plugin.py", "configs/a.yaml"):
        path = site / "checkout/src/editable" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert plugins()[0].configs == site / "checkout/src/editable/configs"
    import_plugins()
    assert "editable.plugin" in sys.modules


def test_plugin_with_compares_whole_names(site: Path) -> None:
    install(site, "quiet", "quiet.plugin", {"quiet/__init__.py": "", "quiet/plugin.py": ""})
    assert plugin_with("quiet.other.Layer") == plugin_with("quiet") == plugins()[0]
    assert plugin_with("quietly.Layer") is plugin_with("torch.nn.GRU") is None


@pytest.mark.parametrize(
    ("name", "installed"), [("torch", True), ("nowhere_at_all", False), ("", False), ("a b", False)]
)
def test_is_installed_looks_for_a_module(name: str, installed: bool) -> None:
    assert is_installed(name) == installed


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('on\\npurpose \\x1b[31m')", "RuntimeError: on purpose \\x1b[31m"),
        ("def f(:", "SyntaxError: invalid syntax (__init__.py, line 1)"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_broken_plugin_costs_one_line(site: Path, capsys: pytest.CaptureFixture[str], source: str, reason: str) -> None:
    install(site, "broken", "broken", {"broken/__init__.py": source})
    install(site, "working", "working", {"working/__init__.py": ""})
    import_plugins()
    import_plugins()
    warning = f"warning: the plug-in broken (broken 1.0) cannot be imported, so its classes are missing: {reason}\n"
    assert capsys.readouterr() == ("", warning)
    assert "working" in sys.modules


@pytest.mark.parametrize("value", ["", "a module!", "..", "nowhere.at.all"])
def test_value_that_is_no_module_costs_one_line(site: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    install(site, "wrong", value, {})
    import_plugins()
    assert capsys.readouterr().err.count("\n") == 1


def test_classes_before_a_failure_are_forgotten(site: Path) -> None:
    class Base:
        """The base class of a plug-in's class."""

    base = importlib.import_module("types")
    files = {
        "half/__init__.py": "",
        "half/layer.py": "import types\nclass Layer(types.base): ...\nclass Other(Layer): ...\n",
        "half/plugin.py": "import half.layer\nclass Third(half.layer.Layer): ...\nraise ValueError",
    }
    install(site, "half", "half.plugin", files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "base", Base, raising=False)
        import_plugins()
    assert Base.__subclasses__() == []
    assert not [name for name in sys.modules if name.startswith("half")]


def test_damaged_metadata_costs_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "damaged", "damaged", {})
    (site / "damaged-1.0.dist-info/entry_points.txt").write_bytes(b"[rnn_tasks]\n\xff = a\n")
    assert plugins() == plugins() == ()
    printed = capsys.readouterr().err
    assert printed.startswith("warning: plug-ins cannot be listed: UnicodeDecodeError")
    assert printed.count("\n") == 1
