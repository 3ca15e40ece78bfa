"""All files of the record as one look-up reads them, with what is kept of them until the next one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workspace_reaper.registry.file_patterns import FilePattern, directory_identity
from workspace_reaper.registry.files.errors import IncompleteFile, UnreadableFiles
from workspace_reaper.registry.files.parse import as_json, is_complete_by_itself
from workspace_reaper.registry.files.read import RecordStamp, look_at, read_bytes

# The largest number of files, and the largest size of all together in bytes.
MOST_FILES = 10_000
MOST_BYTES_IN_ALL = 64 << 20

# Seconds to wait before a file that seems incomplete is read again, one for each attempt.
_PAUSES = (0.02, 0.08, 0.3)

# Seconds for which a file in TOML or YAML must be unchanged: the half that is written first may be valid.
_QUIET = 0.25


@dataclass(frozen=True, slots=True)
class Document:
    """A file: its path, its stamp, and its content as JSON. ``is_settled``: each later write changes the stamp."""

    path: str
    stamp: RecordStamp
    json: str
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Record:
    """All files of a host at one moment.

    Attributes:
        location: What identifies the record: the directories of the files.
        documents: The files.
        change_counter: The times of modification of the files without wildcards in milliseconds, added up. Each save
            increases it; an older copy with its own time has a smaller one. None if each path has a wildcard.
    """

    location: str
    documents: tuple[Document, ...]
    change_counter: int | None

    @property
    def stamps(self) -> dict[str, RecordStamp]:
        """The stamp of each file, by path."""
        return {one.path: one.stamp for one in self.documents}

    @property
    def is_settled(self) -> bool:
        """Whether each write after the files were read changes a stamp."""
        return all(one.is_settled for one in self.documents)


class RecordFiles:
    """The files that the patterns match. It may be used from any thread."""

    def __init__(self, patterns: Sequence[FilePattern]) -> None:
        self._patterns = patterns
        self._kept: Mapping[str, Document] = {}

    def stamps(self) -> dict[str, RecordStamp]:
        """Return the stamps of the files as they are now, by path. Nothing is opened.

        Raises:
            UnreadableFiles: A file or a directory is missing or cannot be examined.
        """
        found: dict[str, RecordStamp] = {}
        for path, must_exist in self._paths().items():
            try:
                found[path] = look_at(path)
            except FileNotFoundError:
                if must_exist:
                    raise _missing(path) from None
        return found

    def location(self) -> str:
        """Return what identifies the record. Raises `UnreadableFiles`."""
        return ", ".join(map(directory_identity, self._patterns))

    def read(self) -> Record:
        """Read the files; those that did not change since they were last read are not read again.

        Raises:
            UnreadableFiles: Not all of them can be read, or a limit is exceeded.
        """
        location = self.location()
        found: dict[str, Document] = {}
        size = 0
        for path, must_exist in self._paths().items():
            try:
                found[path] = self._read(path)
            except FileNotFoundError:  # a file for each workspace vanishes with it
                if must_exist:
                    raise _missing(path) from None
                continue
            size += found[path].stamp.size
            if size > MOST_BYTES_IN_ALL:
                raise UnreadableFiles(
                    f"{path} and the files before it have {size} bytes, and the limit is {MOST_BYTES_IN_ALL}."
                )
        if self.location() != location:
            raise UnreadableFiles(f"the directory of {location} was replaced while it was read: the next look-up reads it.")
        self._kept = {path: document for path, document in found.items() if document.is_settled}
        alone = [found[one.path].stamp.modified // 1_000_000 for one in self._patterns if one.is_one_file]
        return Record(location, tuple(found.values()), sum(alone) if alone else None)

    def _paths(self) -> dict[str, bool]:
        """Return the paths that match, and for each whether it must exist."""
        paths: dict[str, bool] = {}
        for pattern in self._patterns:
            for path in pattern.matches():
                paths[path] = paths.get(path, False) or pattern.is_one_file
        if len(paths) > MOST_FILES:
            raise UnreadableFiles(f"files.paths matches {len(paths)} files, and the limit is {MOST_FILES}.")
        return paths

    def _read(self, path: str) -> Document:
        kept = self._kept.get(path)
        if kept is not None and kept.stamp == look_at(path):
            return kept
        for pause in _PAUSES:
            try:
                return _read_once(path)
            except IncompleteFile:
                time.sleep(pause)
        return _read_once(path)


def _read_once(path: str) -> Document:
    began = time.time()
    content, stamp = read_bytes(path)
    if not is_complete_by_itself(path) and abs(began - stamp.modified / 1e9) < _QUIET:
        raise IncompleteFile(f"{path} is written to again and again: it is read once it is unchanged for {_QUIET:g} s.")
    return Document(path, stamp, as_json(path, content), stamp.is_settled(began))


def _missing(path: str) -> UnreadableFiles:
    there = os.path.dirname(path)
    return UnreadableFiles(f"{path} does not exist in {there}: start the host once, or correct files.paths.")
