"""Writes a file as a whole or not at all, and never over another one unless told to, which then is kept beside it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from itertools import count
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError, ReaperError
from workspace_reaper.settings import load_settings
from workspace_reaper.util.permissions import make_private

__all__ = ["save"]


def save(text: str, file: Path, *, force: bool) -> Path | None:
    """Write a configuration at ``file``, readable by its owner alone; its directory is made. What was there before is kept
    beside it with ``force``: the name under which it is, else None.

    ``ConfigurationError``: something is there, and ``force`` was not given. ``ReaperError``: it can't be written. Then, and
    where the process is interrupted, nothing has changed.
    """
    target = Path(os.path.realpath(file))  # a link stays a link
    if os.path.lexists(file) and not force:
        raise _exists(file)
    try:
        make_private(target.parent)
        return _put(text, target, force=force)
    except _Taken as error:
        raise _exists(file) from error
    except OSError as error:
        raise ReaperError(f"{file} can't be written ({error.strerror}), and nothing has changed: name another one") from error


class _Taken(Exception):
    """Somebody else has made the file meanwhile."""


def _exists(file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file} exists: add --force to replace it (it is kept beside the new one), or name another file")


def _put(text: str, target: Path, *, force: bool) -> Path | None:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _write(temporary, text)
        load_settings(temporary, {})
        if force:
            backup = _keep(target)
            temporary.replace(target)
            return backup
        try:
            os.link(temporary, target)  # unlike a rename, only where nothing is
        except FileExistsError:
            raise _Taken from None
        return None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)


def _keep(target: Path) -> Path | None:
    """Give what is there another name, the first that is free."""
    for number in count():
        backup = target.with_name(f"{target.name}.old{number or ''}")
        with suppress(FileExistsError):
            try:
                os.link(target, backup)
            except FileNotFoundError:
                return None
            return backup
    raise AssertionError  # count() has no end
