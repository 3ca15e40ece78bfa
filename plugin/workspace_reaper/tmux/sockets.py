"""From a configured socket, a name or an absolute path, to the absolute path that tmux itself would use."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError


def own_directory_name() -> str:
    """Return the name of the directory in which tmux keeps the named sockets of this user."""
    return f"tmux-{os.getuid()}"


def socket_path(configured: str, environ: Mapping[str, str] = os.environ) -> str:
    """Resolve a socket as tmux does for ``-L NAME``.

    An absolute path is returned unchanged. A name is looked up in ``tmux-UID`` below the first of ``$TMUX_TMPDIR`` and
    ``/tmp`` that exists, with all symbolic links resolved.

    Raises:
        ConfigurationError: It is neither, or it is unknown whether ``$TMUX_TMPDIR`` exists: the server may have been started
            by a process that can see it.
    """
    if not configured or "\0" in configured or "\n" in configured:
        raise ConfigurationError(f"invalid tmux socket {configured!r}: give a name (as for tmux -L) or an absolute path")
    if configured.startswith("/"):
        return configured
    if "/" in configured or configured in (".", ".."):
        raise ConfigurationError(f"the tmux socket {configured!r} is a relative path: give an absolute path")
    base = environ.get("TMUX_TMPDIR")
    if not base or not _exists(base):
        base = "/tmp"  # noqa: S108 - where tmux looks; nothing is created there
    return str(Path(base).resolve() / own_directory_name() / configured)


def _exists(base: str) -> bool:
    try:
        Path(base).stat()  # Path.exists ignores other errors in each version of Python
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise ConfigurationError(
            f"TMUX_TMPDIR={base!r} cannot be read ({error.strerror}): fix it, or give the tmux sockets as absolute paths"
        ) from error
    return True
