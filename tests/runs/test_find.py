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
