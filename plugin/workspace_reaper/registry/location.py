"""The location of a database: what ``database_url`` names, and which file that is now."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry.expand import UnsetVariable, expand
from workspace_reaper.registry.file_patterns import FilePattern, pattern_of
from workspace_reaper.util.passwords import may_contain_password, names_password

_SQLITE = "sqlite:///"
_SERVERS = ("postgresql://", "postgres://", "postgresql+psycopg://")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://|(?P<short>sqlite|file):")

# A path is shown, and a password in it would be.
_NO_PATH = (
    "database_url: this is neither a path nor a supported URL: write postgresql://user@host:5432/database and put the password "
    "into ~/.pgpass"
)

# A host, or a socket's directory with %2F, and a port.
_HOST = re.compile(r"(?:[A-Za-z0-9_.%-]*|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{0,5})?")

# What may follow the authority of a URL that has no password.
_PLAIN_REST = re.compile(r"(?!.*(?:pass|pwd))[^@:#%]*", re.IGNORECASE)


class DatabaseNotFound(Exception):
    """An error for a path without a file to open. The text contains the reason and what to do."""


def is_server(database_url: str) -> bool:
    """Return whether the URL names a PostgreSQL database."""
    return database_url.startswith(_SERVERS)


def form_problem(rest: str) -> str | None:
    """Return what is wrong with the form of a server's URL, or None. ``rest`` follows ``://``.

    In a URL of another form, libpq may take a part of the password for the host, which is shown. The text contains no part of
    the URL.
    """
    authority, _, path = rest.partition("?")[0].partition("/")
    user, _, hosts = authority.rpartition("@")
    if "@" in user or "@" in path:
        return "contains an '@' too many"
    return None if all(map(_HOST.fullmatch, hosts.split(","))) else "has no host and port that can be read"


def may_have_password(database_url: str) -> bool:
    """Return whether a part of the text may be a password. It is none only in the path of a file, and in the URL of a server
    that has nothing but a user, hosts, ports, a name and plain parameters."""
    if is_server(database_url):
        rest = database_url.partition("://")[2]
        authority = re.split("[/?]", rest, maxsplit=1)[0]
        has_more = ":" in unquote(authority.rpartition("@")[0]) or not _PLAIN_REST.fullmatch(rest, len(authority))
        return has_more or form_problem(rest) is not None
    try:
        path_of(database_url)
    except ConfigurationError:
        return True
    return False


def path_of(database_url: str) -> str:
    """Return the absolute path that ``database_url`` names: ``sqlite:///PATH``, where PATH is taken literally, or a bare path.

    Only in a bare path ``~`` is expanded.

    Raises:
        ConfigurationError: The URL names no SQLite file. The text does not contain the URL, which may hold a password.
    """
    if database_url.startswith(_SQLITE):
        path = database_url.removeprefix(_SQLITE)
        if names_password(path):
            raise ConfigurationError(_NO_PATH)
    elif match := _SCHEME.match(database_url):
        scheme = match["scheme"] or match["short"]
        is_upper = f"{scheme.lower()}://" in (*_SERVERS, "sqlite://") and not scheme.islower()
        raise ConfigurationError(
            f"database_url: a {scheme!r} URL of this form is not supported"
            f"{': write the scheme in lower case' if is_upper else ''}. Supported are SQLite files: "
            "sqlite:////absolute/path, sqlite:///relative/path, or a bare path; and PostgreSQL: postgresql://user@host/database."
        )
    elif may_contain_password(database_url):
        raise ConfigurationError(f"{_NO_PATH}, or write sqlite:///PATH for a path with ':' and '@', or with '=' and a space")
    else:
        try:
            path = str(Path(database_url).expanduser()) if database_url else ""
        except RuntimeError:  # "~NAME" without such a user
            raise ConfigurationError(
                f"database_url: there is no home directory for {database_url!r}. Write an absolute path."
            ) from None
    if not path or path == ":memory:" or "\0" in path:
        raise ConfigurationError("database_url: names no file. Write the path of the host's SQLite database.")
    return str(Path.cwd() / path)


def literal(database_url: str) -> str:
    """Return a URL that names the same database, and in which no character stands for others."""
    return database_url if is_server(database_url) else f"{_SQLITE}{path_of(database_url)}"


def pattern_in(database_url: str, environ: Mapping[str, str]) -> FilePattern:
    """Return the files that ``database_url`` names: a ``sqlite:///PATH`` literally, or a bare path.

    In a bare path ``~`` and variables are expanded, and ``*``, ``?`` and ``[...]`` match names.

    Raises:
        ConfigurationError: The URL names no SQLite file, or a variable is not set.
    """
    path = path_of(database_url)
    if database_url.startswith(_SQLITE):
        return pattern_of(glob.escape(path))
    try:
        path = expand(database_url, environ, glob.escape)
    except UnsetVariable as error:
        raise ConfigurationError(f"database_url: the variable '{error}' is not set: set it, or write the path") from error
    return pattern_of(path if path.startswith("/") else f"{glob.escape(str(Path.cwd()))}/{path}")


def identity(path: str) -> str:
    """Return the identity of the file at ``path``: its real path, device and inode.

    The file is not opened: closing a descriptor of it would drop the POSIX locks that a host in this process holds on its own
    database.

    Raises:
        DatabaseNotFound: There is no regular file at the path.
    """
    try:
        real = os.path.realpath(path)
        status = Path(path).stat()
    except FileNotFoundError:
        raise DatabaseNotFound("does not exist: start the host once, or set database_url to its database") from None
    except OSError as error:
        raise DatabaseNotFound(
            f"cannot be inspected ({error.strerror}): run as the host's user, or correct database_url"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise DatabaseNotFound(f"is {kind}: set database_url to the database file itself")
    return f"{real} (device {status.st_dev}, inode {status.st_ino})"
