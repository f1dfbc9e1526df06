"""Create the database of a study, and tell its errors apart."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from rnn_tasks.errors import UsageError

NO_ROOM = re.compile("is full|no space|quota|file too large|disk i/o", re.IGNORECASE)
"""Matches the messages of systems and databases that have no room left."""

DRIVER = "its driver is not installed; PostgreSQL's comes with pip install 'rnn-tasks[postgresql]'"


def open_storage(url: str) -> RDBStorage:
    """Open a database, and create its tables if it has none. Connections that the server has closed are replaced.

    Args:
        url: The URL of the database, in the form of SQLAlchemy.
    """
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def create_sqlite(database: Path) -> None:
    """Create an empty SQLite database atomically: a kill leaves no file, or a file with all tables.

    Args:
        database: The path of the database.
    """
    scratch = database.with_name(f".{database.name}.new")
    scratch.unlink(missing_ok=True)
    open_storage(f"sqlite:///{scratch}").engine.dispose()
    scratch.replace(database)


def is_temporary(error: BaseException, url: str) -> bool:
    """Return whether a database may answer again: its server restarts, or another process has locked its file.

    Args:
        error: An error of the database.
        url: The URL of the database.
    """
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if NO_ROOM.search(str(cause)):
        return False
    if url.startswith("sqlite"):
        return isinstance(cause, OperationalError) and "locked" in str(cause)
    lost = isinstance(cause, DBAPIError) and cause.connection_invalidated
    # PendingRollbackError: the connection was lost within a transaction, which Optuna has now rolled back.
    return lost or isinstance(cause, OperationalError | InterfaceError | PendingRollbackError)


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
    except (StorageInternalError, DBAPIError) as error:
        text = first_line(error)
        if NO_ROOM.search(text):
            raise OSError(errno.ENOSPC, text, without_password(url)) from error
        raise UsageError(
            f"the storage {without_password(url)} failed: {text}; run the same command again to resume"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of a database error, without the SQL statement.

    If the driver of the database is missing, the line says how to install it.
    """
    wrapped = isinstance(error, StorageInternalError | ImportError)
    cause = (error.__cause__ if wrapped else None) or error
    if isinstance(cause, ModuleNotFoundError) and cause.name in ("psycopg", "psycopg2"):
        return DRIVER
    return (str(cause).strip() or type(cause).__name__).splitlines()[0][:200]


def without_password(url: str) -> str:
    """Return a URL without its password and options.

    Example:
        >>> without_password("postgresql+psycopg://me:secret@server/studies?sslmode=require")
        'postgresql+psycopg://me:***@server/studies'
    """
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url.partition("?")[0])
