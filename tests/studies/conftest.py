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


class Server:
    """A PostgreSQL server on the loopback interface.

    Args:
        programs: The folder of its programs.
        folder: An empty folder for its data.
    """

    def __init__(self, programs: Path, folder: str) -> None:
        self.programs, self.folder, self.port = programs, folder, free_port()
        self.user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
        self.url = f"postgresql://studies@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        if self.user is not None:
            shutil.chown(folder, self.user)
        make = [str(programs / "initdb"), "--pgdata", f"{folder}/data", "--username=studies", "--auth=trust"]
        subprocess.run([*make, "--no-sync"], check=True, user=self.user, cwd=folder, capture_output=True)

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder}
        settings = [part for name, value in {**options, "fsync": "off"}.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", f"{self.folder}/data", *settings]
        log = Path(self.folder, "log")
        with log.open("a") as output:
            self.process = subprocess.Popen(command, user=self.user, cwd=self.folder, stderr=output)
        deadline = time.monotonic() + SECONDS
        ready = [str(self.programs / "pg_isready"), "--host=127.0.0.1", f"--port={self.port}", "--quiet"]
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def stop(self, signum: int = signal.SIGINT) -> None:
        """Stop the server.

        Args:
            signum: SIGINT ends all connections; SIGQUIT ends as in a power cut; SIGTERM waits for open connections.
        """
        assert self.process is not None
        self.process.send_signal(signum)
        self.process.wait()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a PostgreSQL server; skip without an installation of PostgreSQL."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
    if programs is None or not (programs / "initdb").is_file():
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="rnn_tasks") as folder:
        server = Server(programs, folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql(server: Server) -> str:
    """Return the URL of a PostgreSQL server."""
    return server.url


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
