import errno
import shutil
from pathlib import Path

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.find import best_checkpoint, config_hash, find_run, read_config
from tests.helpers.command_line import RnnTasks
from tests.helpers.configs import TASKS


@pytest.fixture
def run(trained: RnnTasks) -> Path:
    return Path("lightning_logs/variable_delay_echo/version_0")


def test_find_run_accepts_a_folder_checkpoint_or_task(run: Path) -> None:
    assert find_run(str(run)).folder == run
    last = run / "checkpoints" / "last.ckpt"
    assert find_run(str(last)).checkpoint == last
    assert find_run(str(last)).folder == run.absolute()
    assert find_run("variable_delay_echo").folder == run


def test_find_run_returns_the_highest_version(tmp_path: Path) -> None:
    for name in ("version_2", "version_10", "version_9"):
        (tmp_path / "echo" / name).mkdir(parents=True)
        (tmp_path / "echo" / name / "config.yaml").write_text("model: {}")
    (tmp_path / "echo" / "version_11").mkdir()  # claimed by a run that has written nothing
    assert find_run("echo", tmp_path).folder.name == "version_10"


def test_find_run_lists_the_tasks_that_have_runs(run: Path) -> None:
    with pytest.raises(UsageError, match=f"there are runs of {', '.join(TASKS)}"):
        find_run("ecko")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        find_run("nothing.ckpt")


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("data: {}", "no section 'model'"), ("- 1", "no section 'model'")]
)
def test_read_config_rejects_an_invalid_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_read_config_rejects_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist, and the model cannot be built without it"):
        read_config(tmp_path)
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(UsageError, match="is a folder, and the model cannot be built without the file"):
        read_config(tmp_path)


def test_config_hash_depends_only_on_the_contents() -> None:
    section = {"class_path": "A", "init_args": {"size": 3, "core": None}}
    assert config_hash(section) == config_hash({"init_args": {"core": None, "size": 3}, "class_path": "A"})
    assert config_hash(section) != config_hash({"class_path": "A", "init_args": {"size": 4, "core": None}})


def test_best_checkpoint_is_the_last_if_there_is_no_best(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="has no checkpoint; resume"):
        best_checkpoint(tmp_path)
    for name in ("last.ckpt", "best.ckpt"):
        (tmp_path / "checkpoints" / name).touch()
        assert best_checkpoint(tmp_path).name == name


STRANGE_NAMES = ["a\nb", "a b; id", "\0", "x" * 300, "\udcff", "*", "[a", "..", "", "a/../../b", "~", "-x"]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_find_run_rejects_a_strange_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in ("", ".ckpt"):
        with pytest.raises(UsageError, match=r"no (run|checkpoint)"):
            find_run(name + suffix)


@pytest.mark.parametrize("name", ["ünï cödé", "a\nb", "x;id", "[a]", "-x"])
def test_find_run_accepts_strange_names_of_folders(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("lightning_logs") / name / "version_3"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("model: {}")
    assert find_run(name).folder == find_run(str(run)).folder == run


def test_find_run_reports_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_file(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(UsageError, match="no run 'secret': its folder cannot be read: Permission denied"):
        find_run("secret", tmp_path)


def test_find_run_ignores_a_run_that_another_process_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / "echo" / f"version_{number}").mkdir(parents=True)
        (tmp_path / "echo" / f"version_{number}" / "config.yaml").write_text("model: {}")
    is_dir = Path.is_dir

    def removing(path: Path) -> bool:
        if path.name == "version_2":
            shutil.rmtree(path)
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", removing)
    assert find_run("echo", tmp_path).folder.name == "version_1"


def test_read_config_rejects_values_that_are_not_plain(tmp_path: Path) -> None:
    for text in ("model: {a: 2001-01-01}", "model: {1: 2}", "model: &x {a: *x}", "model: {a: !!set {b}}"):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UsageError, match="is damaged: it holds other values than"):
            read_config(tmp_path)
