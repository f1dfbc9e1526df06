"""Create the database of a study, and translate its errors."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.worker_id import is_alive_here

WORKER = "worker"
"""The attribute of a trial that holds the identity of its worker."""

NO_ROOM = re.compile("is full|no space|quota|file too large|disk i/o", re.IGNORECASE)
"""Matches the messages of systems and databases that have no room left."""


class Storage(RDBStorage):
    """A database that never fails the runs of a living worker on this machine, even if its heartbeats stopped."""

    def record_heartbeat(self, trial_id: int) -> None:
        with contextlib.suppress(StorageInternalError):  # the next heartbeat follows
            super().record_heartbeat(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        stale = super()._get_stale_trial_ids(study_id)
        return [number for number in stale if not is_alive_here(str(self.get_trial_user_attrs(number).get(WORKER, "")))]


def create_sqlite(database: Path) -> None:
    """Create an empty SQLite database atomically: a kill leaves no file, or a file with all tables.

    Args:
        database: The path of the database.
    """
    scratch = database.with_name(f".{database.name}.new")
    scratch.unlink(missing_ok=True)
    Storage(f"sqlite:///{scratch}").engine.dispose()
    scratch.replace(database)


@contextlib.contextmanager
def translate_database_errors(url: str) -> Iterator[None]:
    """Turn errors of the database into errors with a one-line message.

    Args:
        url: The URL of the database.

    Raises:
        OSError: The database has no room.
        UsageError: The database failed for another reason.
    """
    try:
        yield
    except StorageInternalError as error:
        text = first_line(error)
        if NO_ROOM.search(text):
            raise OSError(errno.ENOSPC, text, without_password(url)) from error
        raise UsageError(
            f"the storage {without_password(url)} failed: {text}; run the same command again to resume"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of a database error, without the SQL statement."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return (str(cause).strip() or type(error).__name__).splitlines()[0][:200]


def without_password(url: str) -> str:
    """Return a URL without its password and options.

    Example:
        >>> without_password("postgresql+psycopg://me:secret@server/studies?sslmode=require")
        'postgresql+psycopg://me:***@server/studies'
    """
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url.partition("?")[0])
