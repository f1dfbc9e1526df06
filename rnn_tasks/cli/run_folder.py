"""The run folder of ``fit``: where it is, which process may use it, and which checkpoint a run may start from."""

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint

from rnn_tasks.callbacks._hooks import callbacks_of
from rnn_tasks.errors import UsageError, require
from rnn_tasks.runs.checkpoint_io import AtomicCheckpointIO
from rnn_tasks.runs.files import CHECKPOINTS, CONFIG, JOB, LOCK, read_summary, remove_scratch_files
from rnn_tasks.runs.logger import LOGS, CurveLogger, RunLogger, claim_version
from rnn_tasks.runs.record import RunRecord

VERSION_OPTION = "trainer.logger.init_args.version"
"""The option of a RunLogger that names the run folder."""


def runs_folder(trainer: Trainer, task: str, root: str | None) -> Path:
    """Return the folder of all runs of a task; the options of the first RunLogger may choose it.

    Args:
        trainer: The trainer.
        task: The name of the task.
        root: The option ``trainer.default_root_dir``.
    """
    save_dir, name, _ = logger_options(trainer)
    return Path(save_dir or root or LOGS).absolute() / (name or task)


def logger_options(trainer: Trainer) -> tuple[str | None, str | None, str | None]:
    """Return the options of the first RunLogger: the folder of all runs, and the names of the task and of the run."""
    loggers = [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]
    return loggers[0].options if loggers else (None, None, None)


def new_folder(trainer: Trainer, runs: Path, folder: Path | None, name: str | None) -> Path:
    """Create the folder of a new run.

    Args:
        trainer: The trainer.
        runs: The folder of all runs of the task.
        folder: The folder that was asked for; None for a folder in ``runs``.
        name: The name of the folder in ``runs``; None for that of the RunLogger's options, or else the next free one.

    Raises:
        UsageError: The folder has a run already, or two names are given.
    """
    version = logger_options(trainer)[2]
    if name is not None and version is not None:
        raise UsageError(f"give either name or {VERSION_OPTION}, got {name!r} and {version!r}")
    folder = folder or runs / (name or version or claim_version(runs))
    require(
        not (folder / CONFIG).is_file(),
        f"{folder} has a run already: resume it, or choose another {'name' if name else VERSION_OPTION}",
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def use_folder(trainer: Trainer, record: RunRecord, folder: Path) -> FileLock:
    """Let a run, its loggers and its checkpoints use a run folder.

    Args:
        trainer: The trainer.
        record: The record of the run.
        folder: The run folder, an absolute path.

    Returns:
        The lock that keeps other processes from training the run.

    Raises:
        UsageError: Another process trains the run.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"another process trains the run {folder}: wait until it ends, or stop it") from error
    remove_scratch_files(folder)
    record.folder = folder
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            logger.use_folder(folder)
        elif isinstance(logger, CurveLogger):
            logger.folder = folder
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint):
            callback.dirpath = callback.dirpath or str(folder / CHECKPOINTS)
            checkpoint_io = trainer.strategy.checkpoint_io
            if isinstance(checkpoint_io, AtomicCheckpointIO):
                checkpoint_io.folders.add(Path(callback.dirpath).resolve())
    return lock


def require_no_stray_checkpoint(trainer: Trainer) -> None:
    """Fail if Lightning would load a checkpoint that the user has not named.

    Args:
        trainer: The trainer, which was not given a checkpoint.

    Raises:
        UsageError: There is such a checkpoint: of a SLURM job, in ``trainer.default_root_dir``, or of an
            OnExceptionCheckpoint.
    """
    if SLURMEnvironment.detect():
        for path in sorted(Path(trainer.default_root_dir).glob("hpc_ckpt_*.ckpt")):
            raise UsageError(f"in a SLURM job Lightning would load {path}: move it, or set trainer.default_root_dir")
    for callback in callbacks_of(trainer, OnExceptionCheckpoint):
        if Path(callback.ckpt_path).is_file():
            raise UsageError(
                f"Lightning would load {callback.ckpt_path}, which OnExceptionCheckpoint saved in another run: move "
                f"it, or continue with --ckpt_path {callback.ckpt_path}"
            )


def run_of_job(runs: Path, record: RunRecord, name: str | None) -> Path | None:
    """Return the folder of an interrupted run of the same SLURM job with the same config and name; None without one.

    Args:
        runs: The folder of the task's runs.
        record: The record of the new run.
        name: The name of the new run; None for any.
    """
    job = str(SLURMEnvironment.job_id())
    for marker in runs.glob(f"{name or '*'}/{JOB}"):
        folder = marker.parent
        # A damaged file, a folder of somebody else, or a run that another process of the job trains.
        with suppress(OSError, ValueError, Timeout), FileLock(folder / LOCK, timeout=0):
            is_same = marker.read_text() == job and (folder / CONFIG).read_text(encoding="utf-8") == record.text
            if is_same and read_summary(folder).get("stopped") in (None, "interrupted"):
                print(f"this SLURM job continues its run {folder}", flush=True)
                return folder
    return None
