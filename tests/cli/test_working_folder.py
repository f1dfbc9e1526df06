import importlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import pytest

import rnn_tasks
from rnn_tasks.cli.search_path import leave_working_folder
from rnn_tasks.cli.shipped import shipped
from rnn_tasks.cli.working_folder import (
    LARGEST_CONFIG,
    allow_modules_of_run,
    allow_named_modules,
    imported_names,
    module_names,
    restrict_working_folder,
)
from tests.helpers.plugins import install


@pytest.fixture
def folder(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder; forget afterwards how modules were found in it."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield working_folder
    sys.path_importer_cache.pop(str(working_folder), None)


def imported(name: str) -> ModuleType | None:
    """Import a module; None if it is not found."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trainer.callbacks+=own_layer.Layer"],
        ["--trainer.callbacks+", "own_layer.Layer"],
        ["--data", "{class_path: own_layer.sub.Layer}"],
        ["--trainer.callbacks=[{class_path: own_layer.Layer}]"],
        ["--config", "own.yaml"],
        ["--config=own.yaml"],
        ["-c", "without_suffix"],
        ["--model=part.yaml"],
        ["--config", "outer.yaml"],
    ],
)
def test_module_names_are_found_in_arguments_and_configs(folder: Path, arguments: list[str]) -> None:
    config = "model: &a {init_args: {core: {init_args: {layer: own_layer.Layer}}}}\nother: *a\n"
    for name in ("own.yaml", "part.yaml", "without_suffix"):
        (folder / name).write_text(config)
    (folder / "outer.yaml").write_text("model: part.yaml\ndata: outer.yaml\n")
    assert module_names(["fit", *arguments]) == {"own_layer"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "echo", "--trainer.max_steps=4", "--data.delay", "2.5", "--trainer.callbacks+=Timer"],
        ["--config", "missing.yaml", "--data.path", "some text.txt", "--output=../own.layer"],
        ["--config", "damaged.yaml"],
        ["--data.path", "data.json"],
        ["--x=[[[" + 5000 * "[", "--y=*unknown"],
        [],
    ],
)
def test_module_names_ignore_other_values(folder: Path, arguments: list[str]) -> None:
    (folder / "damaged.yaml").write_bytes(b"\xff a: [own_layer.Layer")
    (folder / "data.json").write_text(f"[own_layer.Layer, {'x' * LARGEST_CONFIG}]")
    assert module_names(arguments) == set()


def test_module_names_are_found_in_each_of_many_configs(tmp_path: Path) -> None:
    """Objects of YAML that are gone must not be taken for later ones."""
    arguments = []
    for number in range(50):
        path = tmp_path / f"{number}.yaml"
        path.write_text(f"model: {{init_args: {{core: {{init_args: {{layer: module_{number}.Layer}}}}}}}}")
        arguments += ["--config", str(path)]
    assert module_names(["fit", *arguments]) == {f"module_{number}" for number in range(50)}


def test_only_named_modules_are_importable(folder: Path) -> None:
    (folder / "own_layer.py").write_text("import own_helper\nfrom own_package.part import number\n")
    (folder / "own_helper.py").write_text("def late():\n    import own_late_helper\n    return own_late_helper\n")
    (folder / "own_late_helper.py").write_text("")
    (folder / "own_package").mkdir()
    (folder / "own_package/part.py").write_text("import own_other\nnumber = 3\n")
    (folder / "own_other.py").write_text("")
    (folder / "own_stranger.py").write_text("raise RuntimeError")
    names = ("own_layer", "own_stranger", "own_late_helper")
    assert [imported(name) for name in names] == [None, None, None]
    allow_named_modules(["fit", "--model.core=own_layer.Layer"])
    layer = importlib.import_module("own_layer")
    assert layer.number == 3
    assert layer.own_helper.late().__file__ == str(folder / "own_late_helper.py")
    assert imported("own_stranger") is None
    assert str(folder) not in sys.path


def test_standard_module_has_precedence_over_a_file(folder: Path) -> None:
    for name in ("colorsys", "chunk"):
        (folder / f"{name}.py").write_text("raise RuntimeError")
    allow_named_modules(["fit", "--data=colorsys.Task"])
    assert importlib.import_module("colorsys").__file__ != str(folder / "colorsys.py")


def test_modules_of_a_resumed_run_are_allowed(folder: Path) -> None:
    run = folder / "lightning_logs/echo/version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("trainer: {callbacks: [{class_path: own_callback.Watch}]}\n")
    (folder / "own_callback.py").write_text("")
    allow_named_modules(["resume", "missing"])
    assert imported("own_callback") is None
    allow_named_modules(["resume", str(run), "--trainer.max_steps", "9"])
    assert imported("own_callback") is not None
    del sys.modules["own_callback"]
    (run / "config.yaml").write_text("data: {class_path: own_task.Task}\n")
    (folder / "own_task.py").write_text("")
    allow_modules_of_run(run)
    assert imported("own_task") is not None


@pytest.mark.parametrize("editable", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_editable_plugin_of_the_folder_is_importable(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, editable: bool, elsewhere: bool
) -> None:
    for name in ("pyproject.toml", "own_plugin/__init__.py", "own_plugin/classes.py", "own_plugin/configs/own.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    origin = {"url": (folder.parent if elsewhere else folder).as_uri(), "dir_info": {"editable": editable}}
    site = install(tmp_path_factory.mktemp("site"), "own", "own_plugin.classes", {})
    (site / "own-1.0.dist-info/direct_url.json").write_text(json.dumps(origin))
    sys.path.append(str(site))
    restrict_working_folder()
    expected = folder / "own_plugin/configs/own.yaml" if editable and not elsewhere else None
    assert shipped("own") == expected
    assert (imported("own_plugin.classes") is not None) == (expected is not None)
    assert imported("own_stranger") is None


def test_earlier_working_folder_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own_layer.py").write_text("")
    allow_named_modules(["fit", "--model.core=own_layer.Layer"])
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    allow_named_modules(["fit", "--model.core=own_layer.Layer"])
    assert imported("own_layer") is None


def test_leave_working_folder_removes_it_from_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = list(sys.path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "/elsewhere", str(folder)]))
    sys.path[:] = ["", *other, str(folder), ".", str(folder / "missing" / "..")]
    leave_working_folder()
    assert sys.path == [*other, str(folder / "missing" / "..")]  # not a folder for Python
    assert os.environ["PYTHONPATH"] == "/elsewhere"


def test_working_folder_with_the_package_stays_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "rnn_tasks").mkdir()
    (folder / "rnn_tasks/__init__.py").write_text("")
    (folder / "own_layer.py").write_text("")
    (folder / "own_stranger.py").write_text("")
    monkeypatch.setattr(rnn_tasks, "__file__", str(folder / "rnn_tasks/__init__.py"))
    sys.path.insert(0, str(folder))
    monkeypatch.setenv("PYTHONPATH", "")
    leave_working_folder()
    restrict_working_folder()
    allow_named_modules(["fit", "--model.core=own_layer.Layer"])
    assert sys.path[-1] == os.environ["PYTHONPATH"] == str(folder)
    assert sys.path.count(str(folder)) == 1
    found = {name: PathFinder.find_spec(name, [str(folder)]) for name in ("rnn_tasks", "own_layer", "own_stranger")}
    assert [name for name, spec in found.items() if spec is not None] == ["rnn_tasks", "own_layer"]


def test_imported_names_skip_what_cannot_be_read(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        "import a.b, c as d\nfrom e.f import g\nfrom . import h\ntry:\n    import i\nexcept ImportError: ...\n"
    )
    assert imported_names(source) == {"a", "c", "e", "i"}
    source.write_text("import (")
    assert imported_names(source) == set()
    assert imported_names(tmp_path / "missing.py") == set()
