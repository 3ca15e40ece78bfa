"""A real pgbouncer in front of a `PostgresServer`: the machine's own, else Debian's, beside it."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from tests.tools.debian import bring
from tests.tools.postgres import PostgresServer
from tests.tools.waiting import wait_until

__all__ = ["PACKAGES", "Pooler", "pgbouncer", "pooling"]

PACKAGES = "REAPER_TEST_PACKAGES"
_PORT = 6432
# What most guides write, as drivers send these with each connection.
_IGNORED = "options,extra_float_digits,search_path,statement_timeout"


def pgbouncer(directory: Path, suite: str) -> Path:
    """Return the program. ``directory`` keeps it for the next time.

    Raises:
        CannotBeHad: It is not installed, and cannot be brought.
    """
    if own := shutil.which("pgbouncer"):
        return Path(own)
    script = directory / f"pgbouncer-{suite}" / "bin" / "pgbouncer"
    directory.mkdir(parents=True, exist_ok=True)
    # Another worker may be bringing it.
    with (directory / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return script if script.exists() else bring("pgbouncer", suite, "usr/sbin/pgbouncer", script.parents[1])


class Pooler:
    """A running pgbouncer with one connection to the server for each database and user, which all clients share."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def url(self, database: str, *, user: str = "postgres") -> str:
        """A URL of that database, through the pooler."""
        return f"postgresql://{user}@/{database}?host={self.directory}&port={_PORT}"

    @contextmanager
    def client(self, database: str, *, user: str = "postgres") -> Iterator[psycopg.Connection]:
        """Another client of the pooler. Each of its statements is a transaction."""
        with closing(psycopg.connect(self.url(database, user=user), autocommit=True, prepare_threshold=None)) as connection:
            yield connection


@contextmanager
def pooling(program: Path, server: PostgresServer, mode: str, *, ignored: str = _IGNORED) -> Iterator[Pooler]:
    """Run ``program`` in front of the server, in that ``pool_mode``, with these ``ignore_startup_parameters``."""
    # It refuses to run as root, and only the owner of the server reaches its socket.
    owner = server.socket_directory.stat()
    with tempfile.TemporaryDirectory(prefix="wr-pool-", dir="/tmp") as name:
        directory = Path(name)
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={server.socket_directory}\n[pgbouncer]\npool_mode = {mode}\ndefault_pool_size = 1\n"
            f"unix_socket_dir = {directory}\nlisten_port = {_PORT}\nauth_type = trust\nauth_file = {directory}/users\n"
            f"logfile = {directory}/log\n" + (f"ignore_startup_parameters = {ignored}\n" if ignored else "")
        )
        roles = [role for (role,) in server.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin")]
        (directory / "users").write_text("".join(f'"{role}" ""\n' for role in roles))
        as_owner = []
        if os.geteuid() == 0:
            for each in (directory, *directory.iterdir()):
                os.chown(each, owner.st_uid, owner.st_gid)
            as_owner = ["-u", pwd.getpwuid(owner.st_uid).pw_name]
        process = subprocess.Popen([program, "-q", *as_owner, settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _listens(directory / f".s.PGSQL.{_PORT}"))
            yield Pooler(directory)
        finally:
            process.kill()
            process.wait()


def _listens(path: Path) -> bool:
    """Whether somebody accepts connections there: the socket is there a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
