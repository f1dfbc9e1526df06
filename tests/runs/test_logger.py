from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rnn_tasks.runs.logger import RunLogger, claim_version


def test_each_of_many_claims_at_once_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        claimed = list(pool.map(lambda _: claim_version(tmp_path / "echo"), range(64)))
    assert sorted(claimed) == sorted(f"version_{number}" for number in range(64))


def test_numbers_go_on_after_the_highest_and_names_that_are_no_number_do_not_count(tmp_path: Path) -> None:
    for name in ("version_9", "version_x", "version_2"):
        (tmp_path / name).mkdir()
    assert claim_version(tmp_path) == "version_10"


def test_the_logger_keeps_its_folder(tmp_path: Path) -> None:
    logger = RunLogger(str(tmp_path), "echo")
    assert Path(logger.log_dir) == Path(logger.log_dir) == tmp_path / "echo" / "version_0"
    assert RunLogger(str(tmp_path), "echo").version == "version_1"
    assert RunLogger(str(tmp_path), "echo", "version_0").version == "version_0"


def test_what_was_logged_is_on_disk_within_a_second(tmp_path: Path) -> None:
    logger = RunLogger(str(tmp_path), "echo")
    logger.log_metrics({"loss": 1.0}, 0)
    file = next(Path(logger.log_dir).glob("events*"))
    before = file.stat().st_size
    logger.saved -= 2
    logger.log_metrics({"loss": 0.5}, 1)
    assert file.stat().st_size > before
