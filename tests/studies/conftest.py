"""Databases for the tests of studies: a SQLite file, and a temporary PostgreSQL server."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.processes import free_port

SECONDS = 60
"""Seconds to wait for the server to start."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Return the URL of a server on the loopback interface; skip without an installation of PostgreSQL."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
    if programs is None or not (programs / "initdb").is_file():
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    with tempfile.TemporaryDirectory(prefix="rnn_tasks") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data, port = f"{folder}/data", free_port()
        make = [str(programs / "initdb"), "--pgdata", data, "--username=studies", "--auth=trust", "--no-sync"]
        subprocess.run(make, check=True, user=user, cwd=folder, capture_output=True)
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
        settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        log = Path(folder, "log")
        with log.open("w") as output:
            server = subprocess.Popen(
                [str(programs / "postgres"), "-D", data, *settings], user=user, cwd=folder, stderr=output
            )
        try:
            deadline = time.monotonic() + SECONDS
            ready = [str(programs / "pg_isready"), "--host=127.0.0.1", f"--port={port}", "--quiet"]
            while subprocess.run(ready, check=False).returncode:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield f"postgresql://studies@127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
            server.wait()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    server: str = request.getfixturevalue("postgresql")
    import psycopg

    name = f"study{time.monotonic_ns()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"
