"""Which processes of a dead session are never signalled, and why. Pure, and the one place where the list stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from workspace_reaper.model.process import Process
from workspace_reaper.policy.process_tree import is_tmux

__all__ = ["LOGIN_DAEMONS", "Suspect", "spared_because"]

_KEYS = "it keeps keys for the whole login"
_BUS = "it carries the messages of the whole login"
_SOUND = "it plays the sound of the whole login"
_SCREEN = "other terminals live in it"

LOGIN_DAEMONS: Mapping[str, str] = {
    "gpg-agent": _KEYS,
    "keyboxd": _KEYS,
    "scdaemon": _KEYS,
    "dirmngr": _KEYS,
    "ssh-agent": _KEYS,
    "gnome-keyring-d": _KEYS,
    "kwalletd5": _KEYS,
    "kwalletd6": _KEYS,
    "dbus-daemon": _BUS,
    "dbus-broker": _BUS,
    "dbus-broker-lau": _BUS,
    "at-spi-bus-laun": _BUS,
    "dconf-service": "it keeps the settings of the whole login",
    "gvfsd": "it mounts file systems for the whole login",
    "systemd": "it manages the services of the whole login",
    "(sd-pam)": "it holds the login open",
    "launchd": "it manages the services of the whole login",
    "pulseaudio": _SOUND,
    "pipewire": _SOUND,
    "pipewire-pulse": _SOUND,
    "wireplumber": _SOUND,
    "Xorg": "it is the screen of the whole login",
    "Xwayland": "it is the screen of the whole login",
    "sshd": "other logins come through it",
    "screen": _SCREEN,
    "SCREEN": _SCREEN,
    "zellij": _SCREEN,
    "dtach": _SCREEN,
    "abduco": _SCREEN,
    "mosh-server": _SCREEN,
    "dockerd": "containers of others live in it",
    "containerd": "containers of others live in it",
    "containerd-shim": "a container lives in it",
    "conmon": "a container lives in it",
    "podman": "a container may live in it",
    "adb": "it serves the devices of the whole login",
    "watchman": "it watches files for the whole login",
}
"""Daemons that the first one who needs them starts, whose environment they inherit and keep, and that serve everybody after:
by the kernel's short name (15 bytes on Linux), with the reason."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A process of a dead session that lives. ``pane_lives``: its pane is in the listing after the kill. ``uids`` None: they
    can't be read. ``descendant``: it was below one of the session's panes. ``in_worktree``: its working directory is inside
    the workspace's; None where that directory is not known. ``shelter``: the name of a daemon of ``LOGIN_DAEMONS``, itself
    from this session, that it runs below: a shell in a ``screen`` is somebody's terminal."""

    process: Process
    pane_lives: bool
    uids: Collection[int] | None
    descendant: bool
    in_worktree: bool | None
    shelter: str | None = None


def spared_because(suspect: Suspect, *, own_uid: int, own_pids: Collection[int], everywhere: bool) -> str | None:
    """Why this process gets no signal; None if it gets one.

    ``own_pids`` are the reaper and its ancestors. ``everywhere``: the setting ``survivors`` says ``all``, so that the working
    directory does not matter.
    """
    process, uids = suspect.process, suspect.uids
    reasons = (
        (process.key.pid == 1, "it is the first process of the system"),
        (process.key.pid in own_pids, "it is the reaper, or the reaper runs below it"),
        (is_tmux(process), "it is a tmux, in which other sessions may live"),
        (suspect.pane_lives, "its pane lives on in another session"),
        (process.name in LOGIN_DAEMONS, LOGIN_DAEMONS.get(process.name, "")),
        (suspect.shelter is not None, f"it lives in {suspect.shelter}, which is left alone"),
        (uids is None, "whose it is can't be read"),
        (uids is not None and set(uids) != {own_uid}, "it belongs to another user"),
        (not suspect.descendant and not everywhere and not suspect.in_worktree, _outside(suspect)),
    )
    return next((why for holds, why in reasons if holds), None)


def _outside(suspect: Suspect) -> str:
    what = (
        "the workspace's directory is not known" if suspect.in_worktree is None else "works outside the workspace's directory"
    )
    return f"it left the session's process tree, and {what}"
