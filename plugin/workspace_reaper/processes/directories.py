"""The directories of workspaces on this machine: the port ``Directories``.

Each look has a limit: a path on a server that does not answer (NFS) blocks the thread that asks, in some states permanently.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from workspace_reaper.model.directory import Directory, Sight, Workplace
from workspace_reaper.processes.proc_files import PROC
from workspace_reaper.processes.processes import homes_of
from workspace_reaper.processes.time_limit import LimitedCalls
from workspace_reaper.processes.working_directory import upwards

# The number of neighbours that are remembered of a directory below the root of a mount.
_NEIGHBOURS = 8
_NO_ANSWER = Sight(error="there is no answer within a second")


class SystemDirectories:
    """Looks at directories with plain system calls, in threads that are left behind if they hang."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._calls = LimitedCalls()

    def homes(self) -> frozenset[str]:
        """Return the home directories of this user, as they are written and as they resolve."""
        homes = homes_of(self._environ)
        return homes | {os.path.realpath(home) for home in homes}

    def find(self, paths: Collection[str]) -> Mapping[str, Directory | None]:
        """Return the directory at each path, None where certainly none is. What is unknown is missing."""
        answers = self._calls.run({path: (_place(path), partial(_find, path)) for path in paths if path.startswith("/")})
        return {path: found for path, found in answers.items() if not isinstance(found, OSError | ValueError)}

    def missing(self, paths: Collection[str]) -> frozenset[str]:
        """Return the paths at which certainly nothing is. It costs little: nothing is resolved."""
        by_place: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            by_place[path.rpartition("/")[0]].append(path)
        # One call for each place: a thousand directories of one host are next to each other.
        answers = self._calls.run({place: (place, partial(_missing, some)) for place, some in by_place.items()})
        return frozenset(path for found in answers.values() if isinstance(found, list) for path in found)

    def look(self, directories: Collection[Directory]) -> Mapping[Directory, Sight]:
        """Return what is now where each directory was."""
        answers = self._calls.run({one: (_place(one.resolved), partial(_look, one)) for one in directories})
        return {one: _sight(answers.get(one, _NO_ANSWER)) for one in directories}

    def workplaces(self, pids: Collection[int]) -> Mapping[int, Workplace | None]:
        """Return the working directory of each process, None where it is unknown. Processes that have ended are missing."""
        answers = self._calls.run({pid: (str(pid), partial(_workplace, pid)) for pid in pids})
        found: dict[int, Workplace | None] = {}
        for pid in pids:
            answer = answers.get(pid)
            if not isinstance(answer, FileNotFoundError | ProcessLookupError):
                found[pid] = answer if isinstance(answer, Workplace) else None
        return found


def _place(path: str) -> str:
    return str(Path(path).parent)


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _find(path: str) -> Directory | None:
    resolved = os.path.realpath(path)
    try:
        status = os.lstat(resolved)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    place = _place(resolved)
    parent, above = Path(place).stat(), Path(f"{place}/..").stat()
    # The root is its own parent.
    is_below_mount = parent.st_dev != above.st_dev or os.path.samestat(parent, above)
    neighbours = tuple(islice(_others(place, Path(resolved).name), _NEIGHBOURS)) if is_below_mount else ()
    return Directory(path, resolved, _identity(status), _identity(parent), is_below_mount, neighbours)


def _others(place: str, name: str) -> Iterator[str]:
    with os.scandir(place) as entries:
        yield from (entry.name for entry in entries if entry.name != name)


def _look(there: Directory) -> Sight:
    written, resolved = _at(there.path), _at(there.resolved)
    # After the paths: a disk that is unmounted in between is noticed.
    place = _place(there.resolved)
    parent = _at(place)
    if parent is not None and not os.access(place, os.R_OK | os.X_OK):
        return Sight(error=f"{place} is not readable")
    has_neighbour = any(_at(f"{place}/{name}") is not None for name in there.neighbours)
    return Sight(written, resolved, parent, has_neighbour)


def _missing(paths: Collection[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            os.lstat(path)
        except FileNotFoundError:
            found.append(path)
        except (OSError, ValueError):  # neither there nor certainly missing
            continue
    return found


def _at(path: str) -> str | None:
    """Return the identity of what is at the path, None if nothing is. Raises ``OSError`` for every other answer."""
    try:
        return _identity(os.lstat(path))
    except FileNotFoundError:
        return None


def _sight(answer: Sight | OSError | ValueError) -> Sight:
    if isinstance(answer, Sight):
        return answer
    return Sight(error=str(getattr(answer, "strerror", None) or answer))


def _workplace(pid: int) -> Workplace:
    """Return the working directory of what has this pid. On Linux it is the directory itself and not a path."""
    path = f"{PROC}/{pid}/cwd" if sys.platform == "linux" else _path_of(pid)
    status = Path(path).stat()
    above: set[str] = set()
    # A directory that was removed has none above it on some systems; a process that ends meanwhile has none either.
    with suppress(FileNotFoundError):
        above.update(_identity(one) for one in upwards(f"{path}/..") if one.st_nlink > 0)
    return Workplace(_identity(status), status.st_nlink, frozenset(above))


def _path_of(pid: int) -> str:
    import psutil

    try:
        return psutil.Process(pid).cwd()
    except psutil.NoSuchProcess:
        raise ProcessLookupError from None
    except psutil.Error as error:
        raise PermissionError(str(error)) from error
