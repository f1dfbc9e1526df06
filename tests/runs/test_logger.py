from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnn_tasks.runs.logger import RunLogger, claim_version


def test_claim_version_is_unique_for_concurrent_calls(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        claimed = list(pool.map(lambda _: claim_version(tmp_path / "echo"), range(64)))
    assert sorted(claimed) == sorted(f"version_{number}" for number in range(64))


def test_claim_version_continues_after_the_highest_number(tmp_path: Path) -> None:
    for name in ("version_9", "version_x", "version_2"):
        (tmp_path / name).mkdir()
    assert claim_version(tmp_path) == "version_10"


def test_logger_keeps_its_folder(tmp_path: Path) -> None:
    logger = RunLogger(str(tmp_path), "echo")
    assert Path(logger.log_dir) == Path(logger.log_dir) == tmp_path / "echo" / "version_0"
    assert RunLogger(str(tmp_path), "echo").version == "version_1"
    assert RunLogger(str(tmp_path), "echo", "version_0").version == "version_0"


def test_save_writes_the_logged_scalars(tmp_path: Path) -> None:
    logger = RunLogger(str(tmp_path), "echo")
    logger.log_metrics({"loss": 1.0, "epoch": 0}, 0)
    logger.log_metrics({"loss": 0.5, "epoch": 0}, 1)
    logger.save()
    written = EventAccumulator(logger.log_dir).Reload()
    assert written.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in written.Scalars("loss")] == [(0, 1.0), (1, 0.5)]
    assert [path.name.split(".")[0] for path in Path(logger.log_dir).iterdir()] == ["events"]
