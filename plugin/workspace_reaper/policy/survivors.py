"""Which processes of a reaped session are never signalled, and why. Pure. This is the only list of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from workspace_reaper.model.process import Process
from workspace_reaper.policy.process_tree import is_tmux

_KEYS = "it keeps keys for the whole login"
_BUS = "it carries the messages of the whole login"
_SOUND = "it plays the sound of the whole login"
_SCREEN = "other terminals run in it"
_FILES = "it mounts a file system that others may use"
_MODEL = "others may ask its model"
_BROWSER = "it has the windows of the whole login"

# Programs that serve the whole login but inherit the environment of the process that started them first. By the kernel's short
# name (15 bytes on Linux), with the reason.
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
    "tmate": _SCREEN,
    "shpool": _SCREEN,
    "wezterm-mux-ser": _SCREEN,
    "wezterm-gui": _SCREEN,
    "kitty": _SCREEN,
    "emacs": "it has the buffers of the whole login",
    "code-server": "other windows of the editor use it",
    "chrome": _BROWSER,
    "chromium": _BROWSER,
    "firefox": _BROWSER,
    "firefox-bin": _BROWSER,
    "ollama": _MODEL,
    "llama-server": _MODEL,
    "sshfs": _FILES,
    "rclone": _FILES,
    "fuse-overlayfs": _FILES,
    "bindfs": _FILES,
    "s3fs": _FILES,
    "slirp4netns": "containers reach the network through it",
    "pasta": "containers reach the network through it",
    "rootlessport": "containers reach the network through it",
    "rootlesskit": "containers of others run in it",
    "dockerd": "containers of others run in it",
    "containerd": "containers of others run in it",
    "containerd-shim": "a container runs in it",
    "conmon": "a container runs in it",
    "podman": "a container may run in it",
    "adb": "it serves the devices of the whole login",
    "watchman": "it watches files for the whole login",
}


@dataclass(frozen=True, slots=True)
class Suspect:
    """A process of a reaped session that is still running.

    Attributes:
        process: The process.
        pane_lives: Its pane is in the listing after the kill.
        uids: Its user ids; None if they cannot be read.
        descendant: It was below one of the session's panes.
        in_worktree: Its working directory is inside the workspace's; None if that directory is unknown.
        shelter: The program of ``LOGIN_DAEMONS``, itself from this session, below which it runs: a shell in a ``screen`` is a
            terminal in use.
        command: Its command line.
        depends: Who else depends on it, as a clause; None if no dependency is known.
    """

    process: Process
    pane_lives: bool
    uids: Collection[int] | None
    descendant: bool
    in_worktree: bool | None
    shelter: str | None = None
    command: str = ""
    depends: str | None = None


def spared_because(suspect: Suspect, *, own_uid: int, own_pids: Collection[int], everywhere: bool) -> str | None:
    """Return why this process gets no signal, or None if it gets one.

    Args:
        suspect: The process.
        own_uid: The reaper's user id.
        own_pids: The reaper and its ancestors.
        everywhere: The setting ``survivors`` is ``all``: the working directory does not matter.
    """
    process, uids = suspect.process, suspect.uids
    reasons = (
        (process.key.pid == 1, "it is the first process of the system"),
        (process.key.pid in own_pids, "it is the reaper, or the reaper runs below it"),
        (is_tmux(process), "it is a tmux, in which other sessions may run"),
        (suspect.pane_lives, "another session still shows its pane"),
        (process.name in LOGIN_DAEMONS, LOGIN_DAEMONS.get(process.name, "")),
        (suspect.shelter is not None, f"it runs in {suspect.shelter}, which is left alone"),
        (_is_connection(suspect), "other terminals may use its connection"),
        (suspect.depends is not None, str(suspect.depends)),
        (uids is None, "its user cannot be read"),
        (uids is not None and set(uids) != {own_uid}, "it belongs to another user"),
        (not suspect.descendant and not everywhere and not suspect.in_worktree, _outside(suspect)),
    )
    return next((why for holds, why in reasons if holds), None)


def _is_connection(suspect: Suspect) -> bool:
    """Return whether it is the master of shared connections of OpenSSH, which writes this over its arguments."""
    return suspect.process.name == "ssh" and suspect.command.rstrip("'\"").endswith("[mux]")


def _outside(suspect: Suspect) -> str:
    what = (
        "the workspace's directory is not known" if suspect.in_worktree is None else "works outside the workspace's directory"
    )
    return f"it left the session's process tree, and {what}"
