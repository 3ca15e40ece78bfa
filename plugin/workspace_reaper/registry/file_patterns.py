"""Paths with wildcards: what they expand to, and which files they match now.

A directory that cannot be listed is an error. The module ``glob`` of the standard library reports it as empty.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry.expand import UnsetVariable, expand
from workspace_reaper.registry.files.errors import UnreadableFiles

# The endings of file names for which there is a parser.
ENDINGS = (".json", ".toml", ".yaml", ".yml")

# The largest number of names in the directories that one path matches.
MOST_NAMES = 20_000

# What `glob.escape` writes for a character that is no wildcard.
_ESCAPED = re.compile(r"\[([*?[])\]")


@dataclass(frozen=True, slots=True)
class FilePattern:
    """An absolute path in which components may contain wildcards. ``parts`` are its components, ``setting`` names it."""

    parts: tuple[str, ...]
    setting: str = "files.paths"

    @property
    def text(self) -> str:
        """The path with its wildcards."""
        return "/" + "/".join(self.parts)

    @property
    def is_one_file(self) -> bool:
        """Whether it has no wildcard, so that the file must exist."""
        return not any(map(_has_wildcard, self.parts))

    @property
    def path(self) -> str:
        """The path of the one file, for a path without wildcards: escaped characters are plain ones."""
        return "/" + "/".join(map(_unescaped, self.parts))

    @property
    def fixed(self) -> int:
        """The number of components of the directory that must exist: those before the first wildcard or the file's name."""
        magic = (number for number, part in enumerate(self.parts) if _has_wildcard(part))
        return next(magic, len(self.parts) - 1)

    @property
    def directory(self) -> str:
        """The directory that must exist."""
        return "/" + "/".join(map(_unescaped, self.parts[: self.fixed]))

    @property
    def shown(self) -> str:
        """The path for display."""
        return self.path if self.is_one_file else self.text

    def exists(self) -> bool:
        """Return whether there is a file now. Raises ``ConfigurationError`` for a place that cannot be examined."""
        try:
            if not self.is_one_file and not os.path.isdir(self.directory):
                os.stat(self.directory)
            return bool(self.existing())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, UnreadableFiles) as error:
            raise ConfigurationError(
                f"{self.setting}: {self.shown} cannot be inspected ({error}): run as the host's user, or set {self.setting}"
            ) from error

    def existing(self) -> list[str]:
        """Return the paths that match now and exist. Raises `UnreadableFiles` like `matches`."""
        found = []
        for path in self.matches():
            try:
                os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._cannot_list(path, error) from error
            found.append(path)
        return found

    def matches(self) -> list[str]:
        """Return the paths that match now, sorted; a path without wildcards whether or not it exists.

        Raises:
            UnreadableFiles: A directory is missing or cannot be listed, a symbolic link points to nothing, or there are too
                many names.
        """
        if self.is_one_file:
            return [self.path]
        places, names = [self.directory], 0
        for part in self.parts[self.fixed :]:
            found: list[str] = []
            for place in places:
                for name in self._names(place, part):
                    names += 1
                    if names > MOST_NAMES:
                        raise UnreadableFiles(f"{self.text} matches more than {MOST_NAMES} names: narrow {self.setting}.")
                    found.append(os.path.join(place, name))
            places = found
        return sorted(places)

    def _names(self, place: str, part: str) -> Iterator[str]:
        """Yield the names in a directory that match a component. Each directory but the first may vanish meanwhile."""
        if not _has_wildcard(part):
            if os.path.islink(path := os.path.join(place, _unescaped(part))):
                _check_target(path)
            yield _unescaped(part)
            return
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if fnmatchcase(entry.name, part) and (part[0] == "." or entry.name[0] != "."):
                        if entry.is_symlink():
                            _check_target(entry.path)
                        yield entry.name
        except (FileNotFoundError, NotADirectoryError) as error:
            if place == self.directory:
                raise self._cannot_list(place, error) from error
        except OSError as error:
            raise self._cannot_list(place, error) from error

    def _cannot_list(self, place: str, error: OSError) -> UnreadableFiles:
        return UnreadableFiles(
            f"the directory {place} cannot be read ({error.strerror}): run the reaper as the host's user, or correct "
            f"{self.setting}."
        )


def expanded(paths: Sequence[str], environ: Mapping[str, str], setting: str = "files.paths") -> tuple[FilePattern, ...]:
    """Return the patterns of the paths of documents that a setting names.

    Raises:
        ConfigurationError: A path is not absolute, has an unknown ending, or names a variable that is not set.
    """
    return tuple(_expanded(path, environ, setting) for path in dict.fromkeys(paths))


def _expanded(path: str, environ: Mapping[str, str], setting: str) -> FilePattern:
    try:
        text = expand(path, environ, glob.escape)
    except UnsetVariable as error:
        raise ConfigurationError(
            f"{setting}: {path!r}: the variable '{error}' is not set: set it, or write the path"
        ) from error
    if not text.startswith("/"):
        raise ConfigurationError(f"{setting}: {path!r} is not an absolute path: begin it with /, ~ or a variable")
    if not text.endswith(ENDINGS):
        raise ConfigurationError(f"{setting}: {path!r} does not end in {', '.join(ENDINGS)}: the format is not known")
    return pattern_of(text, setting)


def pattern_of(path: str, setting: str = "database_url") -> FilePattern:
    """Return the pattern of an absolute path in which wildcards stand for names."""
    return FilePattern(tuple(part for part in path.split("/") if part not in ("", ".")), setting)


def directory_identity(pattern: FilePattern) -> str:
    """Return what identifies the record of this pattern: where it resolves to, and the directory that must exist.

    Not the file: a host that saves by writing another file and renaming it gives it a new inode each time.

    Raises:
        UnreadableFiles: The directory cannot be examined.
    """
    directory = os.path.dirname(os.path.realpath(pattern.path)) if pattern.is_one_file else os.path.realpath(pattern.directory)
    try:
        status = os.stat(directory)
    except OSError as error:
        raise UnreadableFiles(
            f"{pattern.shown} is in {directory}, which cannot be read ({error.strerror}): start the host once, or correct "
            f"{pattern.setting}."
        ) from error
    path = os.path.realpath(pattern.path) if pattern.is_one_file else _below(directory, pattern)
    return f"{path} (directory: device {status.st_dev}, inode {status.st_ino})"


def file_identity(path: str) -> str:
    """Return what identifies a file that a host replaces at each save: its path and its directory. Raises `UnreadableFiles`."""
    return directory_identity(pattern_of(glob.escape(path), "files.paths"))


def shown(patterns: Sequence[FilePattern]) -> str:
    """Return the paths for display."""
    return ", ".join(pattern.shown for pattern in patterns)


def record_patterns(patterns: Sequence[FilePattern]) -> tuple[str, ...]:
    """Return the patterns with the resolved directory, for a comparison with the resolved paths of other directories."""
    return tuple(
        glob.escape(os.path.realpath(one.path))
        if one.is_one_file
        else _below(glob.escape(os.path.realpath(one.directory)), one)
        for one in patterns
    )


def _below(directory: str, pattern: FilePattern) -> str:
    return os.path.join(directory, *pattern.parts[pattern.fixed :])


def _has_wildcard(part: str) -> bool:
    return glob.has_magic(_ESCAPED.sub("", part))


def _unescaped(part: str) -> str:
    """Return a component without wildcards as it is on the disk."""
    return _ESCAPED.sub(r"\1", part)


def _check_target(path: str) -> None:
    """Raise if a symbolic link points to nothing: its target may be on a disk that is not mounted."""
    if not os.path.exists(path):
        raise UnreadableFiles(f"{path} is a symbolic link to nothing that is there: remove it, or mount what it points to.")
