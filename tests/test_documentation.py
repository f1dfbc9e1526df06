"""Tests that run or check each code block of README, CONTRIBUTING and docs.

One test for each page, since the blocks of a page share names and files, and pytest-xdist would spread them over
processes.
"""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from rnn_tasks.commands import main
from rnn_tasks.errors import UsageError
from tests.helpers.command_line import CommandResult, RnnTasks, small
from tests.helpers.documentation import (
    ROOT,
    Command,
    evaluate,
    exceptions,
    files_of_pages,
    inline_commands,
    is_known,
    pages,
    parse,
)
from tests.helpers.documentation_checks import Checker, Runner, require_output
from tests.helpers.plugins import install

PAGES = pages()

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the source distribution has no docs/")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train small runs of the tasks that Python blocks load: ``echo`` and ``copy``."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["rnn-tasks"])
        for task in ("echo", "copy"):
            main(["fit", "--config", task, *small(task)])
    return folder / "lightning_logs"


@pytest.fixture
def own_modules(working_folder: Path) -> Iterator[None]:
    """Forget the modules of the working folder afterwards."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(working_folder)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def template_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the plug-in of docs/plugins.md in a folder of its own."""
    template = ROOT / "docs/plugin_template"
    files = [*template.glob("rnn_tasks_example/**/*.py"), *template.glob("rnn_tasks_example/**/*.yaml")]
    contents = {str(file.relative_to(template)): file.read_text() for file in files}
    return install(tmp_path_factory.mktemp("site"), "example", "rnn_tasks_example.plugin", contents)


@pytest.fixture
def reader(rnn_tasks: RnnTasks, template_site: Path, monkeypatch: pytest.MonkeyPatch, own_modules: None) -> RnnTasks:
    """Return the command line in an empty folder, beside the plug-in."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(template_site)])
    return rnn_tasks


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_of_page_run_or_are_accepted(page: Path, reader: RnnTasks, two_runs: Path) -> None:
    shutil.copytree(two_runs, "lightning_logs")
    files = files_of_pages(page)
    for name, text in files.items():
        Path(name).write_text(text)
    checker = Checker(reader)
    document = parse(page, checker)
    if page.name == "README.md":
        exec(files["backwards.py"], document.namespace)  # the imports that its excerpt leaves out
    evaluate(document)
    for command in inline_commands(page.read_text()):
        checker.command(command)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_page_run(page: Path, reader: RnnTasks) -> None:
    for name, text in files_of_pages(page).items():
        Path(name).write_text(text)
    evaluate(parse(page, Runner(reader)))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_marks_and_languages_of_blocks_are_known(page: Path) -> None:
    text = page.read_text()
    regions = [example.region for example in parse(page, lambda _: None) if "language" in example.region.lexemes]
    unknown = {language for region in regions if not is_known(language := str(region.lexemes["language"]))}
    assert unknown == set(), "write text for what is no code"
    files = [region.lexemes["file"] for region in regions if region.lexemes["file"]]
    assert len(files) == len(re.findall("^<!-- file:", text, re.MULTILINE))
    reasons = exceptions(page)
    assert len(reasons) == len(re.findall("^<!-+ *skip", text, re.MULTILINE))
    assert all(len(reason.split()) >= 3 for reason in reasons), reasons


WRONG_COMMANDS = [
    "rnn-tasks fit --config echo --data.dely 3",
    "rnn-tasks resume echo --trainer.max_stepz 3",
    "rnn-tasks respnd echo abacaba",
    "rnn-tasks respond",
    "rnn-tasks analyze echo --outptu comparison",
    "rnn-tasks study run no_such_study",
    "make trian TASK=echo",
    "make train TSAK=echo TASK=echo",
    "make train TASK=eccho",
    'pip install "rnn-tasks[nothing]"',
    "python -m benchmarks_of_nothing",
    "rnntasks fit --config echo",
]


@pytest.mark.parametrize("line", WRONG_COMMANDS)
def test_wrong_command_is_noticed(line: str, rnn_tasks: RnnTasks) -> None:
    with pytest.raises((AssertionError, UsageError)):
        Checker(rnn_tasks).command(Command(tuple(shlex.split(line))))


@pytest.mark.parametrize("text", ["data: {init_args: {dely: 6}}", "axes: {size: {option: data.delay, value: [2]}}"])
def test_wrong_yaml_is_noticed(text: str, rnn_tasks: RnnTasks) -> None:
    with pytest.raises((AssertionError, UsageError)):
        Checker(rnn_tasks).check_yaml(text)


def test_wrong_python_is_noticed(rnn_tasks: RnnTasks) -> None:
    Path("page.md").write_text("A page.\n\n```python\nassert 1 + 1 == 3\n```\n")
    with pytest.raises(AssertionError):
        evaluate(parse(Path("page.md"), Checker(rnn_tasks)))


@pytest.mark.parametrize(
    ("shown", "printed", "agrees"),
    [
        ("accuracy  0.9979; 2,880 sequences, 2.6 s", "accuracy  0.9931; 2,560 sequences, 11.4 s\n", True),
        ("accuracy  0.9979", "accuracy  0.9731\n", False),
        ("solved at step 25", "solved at step 90\n", False),
        ("    aba", "    abb\n", False),
        ("a solved run", "a run\n", False),
    ],
)
def test_output_agrees_within_its_tolerances(shown: str, printed: str, agrees: bool) -> None:
    with nullcontext() if agrees else pytest.raises(AssertionError):
        require_output(shown, CommandResult(0, printed, ""))
