"""The marks that a session carries: which workspace it belongs to, whatever it is called. Pure.

Three options of a session are set together. ``@workspace_owner`` is the owner id of a registry, ``@reaper_workspace`` the
workspace, and ``@reaper_self`` the session's own identity: options that were copied from another session prove nothing.
"""

from __future__ import annotations

import hashlib
import re
import shlex

from workspace_reaper.model.session import Owner, Session

# The characters of an id that still fit: tmux expands the whole mark in each listing.
LONGEST = 128

_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def mark_of(workspace_id: str) -> str:
    """Return the value of ``@reaper_workspace``: the hexadecimal UTF-8 text of the id.

    For an id of more than 128 characters it is a digest, which has an odd number of digits. It can be compared with an id, but
    not read back.
    """
    text = workspace_id.encode("utf-8", "surrogateescape")
    return text.hex() if len(workspace_id) <= LONGEST else "0" + hashlib.sha256(text).hexdigest()


def marked_workspace(session: Session) -> str | None:
    """Return the workspace in the session's marks, of any owner; None without valid marks, and for a digest."""
    if not (session.owner is not Owner.NONE and session.is_self_marked and _HEX.fullmatch(session.workspace_mark)):
        return None
    try:
        return bytes.fromhex(session.workspace_mark).decode()
    except UnicodeDecodeError:
        return None


def is_digest(session: Session) -> bool:
    """Return whether the session's mark of its workspace can only be a digest."""
    return len(session.workspace_mark) % 2 == 1


def is_marked(session: Session) -> bool:
    """Return whether the session carries all three marks of a registry, and its own."""
    return session.owner is not Owner.NONE and session.is_self_marked and bool(session.workspace_mark)


def is_marked_as(session: Session, workspace_id: str) -> bool:
    """Return whether our registry marked the session as one of this workspace."""
    return session.owner is Owner.OURS and is_marked(session) and session.workspace_mark == mark_of(workspace_id)


def kill_command(socket: str, session_id: str) -> str:
    """Return a command line for a shell that ends the session, whatever it is called."""
    return shlex.join(["tmux", "-S", socket, "kill-session", "-t", session_id])
