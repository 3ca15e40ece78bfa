"""From a configured socket, a name or an absolute path, to the absolute path that tmux itself would use."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from workspace_reaper.model.errors import ConfigurationError

__all__ = ["own_directory_name", "socket_path"]


def own_directory_name() -> str:
    """The name of the directory in which tmux keeps this user's named sockets."""
    return f"tmux-{os.getuid()}"


def socket_path(configured: str, environ: Mapping[str, str] = os.environ) -> str:
    """Resolve a socket as tmux does for ``-L NAME`` (read in its source; measured on 3.3a, 3.5a and 3.8).

    An absolute path stays as it is. A name is looked up in ``tmux-UID`` under the first of ``$TMUX_TMPDIR`` and ``/tmp`` that
    exists, with all symbolic links resolved. Raises ``ConfigurationError`` for what is neither, and where nobody can say
    whether ``$TMUX_TMPDIR`` exists: the server may have been started by somebody who can.
    """
    if not configured or "\0" in configured or "\n" in configured:
        raise ConfigurationError(f"{configured!r} is no tmux socket: give a name (as for tmux -L) or an absolute path.")
    if configured.startswith("/"):
        return configured
    if "/" in configured or configured in (".", ".."):
        raise ConfigurationError(f"{configured!r} is a relative path: give the tmux socket as an absolute path.")
    base = environ.get("TMUX_TMPDIR")
    if not base or not _exists(base):
        base = "/tmp"  # noqa: S108 - tmux's own place, and we only look there
    return str(Path(base).resolve() / own_directory_name() / configured)


def _exists(base: str) -> bool:
    try:
        os.stat(base)  # noqa: PTH116 - Path.exists ignores other errors in each version of Python
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise ConfigurationError(
            f"TMUX_TMPDIR names {base!r}, which can't be looked at ({error.strerror}): correct it, or give the tmux sockets as"
            " absolute paths."
        ) from error
    return True
