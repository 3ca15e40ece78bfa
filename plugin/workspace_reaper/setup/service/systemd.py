"""A unit for the user manager of systemd: see systemd.service(5), systemd.exec(5) and systemd.resource-control(5)."""

from __future__ import annotations

import re

from workspace_reaper.setup.service.program import Program

__all__ = ["NAME", "unit"]

NAME = "workspace-reaper.service"

_HEAD = f"""\
# The workspace reaper's daemon, as a service of yours.
#
# Put it in place and start it, now and at each login:
#   mkdir -p ~/.config/systemd/user
#   workspace-reaper service systemd > ~/.config/systemd/user/{NAME}
#   systemctl --user daemon-reload
#   systemctl --user enable --now {NAME}
# Start it with the machine, and let it outlive your logout (your tmux servers as well, where logind ends those):
#   loginctl enable-linger
# See how it is, read its log, and tell it that its configuration has changed:
#   systemctl --user status {NAME}
#   journalctl --user -u {NAME}
#   systemctl --user reload {NAME}
# Take it out again:
#   systemctl --user disable --now {NAME}
#   rm ~/.config/systemd/user/{NAME}
#   systemctl --user daemon-reload
"""

_LEFT_OUT = """\
# WORKSPACE_REAPER_DATABASE_URL is set, and may hold a password, so it is not written here. Write the line
#   WORKSPACE_REAPER_DATABASE_URL=...
# to a file that nobody else can read (chmod 600), and name it:
#EnvironmentFile=%h/.config/workspace-reaper/environment
"""

_UNIT = """\
[Unit]
Description=Ends the tmux sessions that deleted, archived and forgotten workspaces leave behind
# However often it fails, it is started again: what it needs may not be there yet, such as a home that is mounted late, or the
# database of a server that has never run.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
ExecReload=kill -HUP $MAINPID
Restart=on-failure
RestartSec=10
# Each half of this it says that all its parts live.
WatchdogSec=2min
TimeoutStopSec=10

# tmux writes the separators of its listings as "_" outside a UTF-8 locale.
Environment=LC_ALL=C.UTF-8
{environment}
# Stopping it ends this process and nothing else: whatever it has started is never taken down with it. It starts no tmux
# server itself (only 'workspace-reaper restore' may, and that runs in your terminal), so none lives in this unit's control
# group, where a limit or the end of the unit would end all its sessions at once.
KillMode=process
# It needs well below 100 MB; beyond these it leaks, is killed, and starts anew.
MemoryHigh=192M
MemoryMax=384M

# What it must be able to do: see your tmux sockets (below /tmp, so no PrivateTmp), your home, every process in /proc, and
# signal your processes. What needs a name space of its own would take that away from a user's service: ProtectHome,
# ProtectSystem, ProtectProc, PrivateUsers, PrivatePIDs.
UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""

_REFUSED = re.compile(r"""["'\\]""")
"""systemd takes no program with these in its path, but any argument."""

_ENV = "/usr/bin/env"

_PLAIN = re.compile(r"[A-Za-z0-9_@:,.+/-]+")


def unit(program: Program) -> str:
    """The unit's text. The command and the variables are quoted so that systemd reads back exactly what they are."""
    first, *others = program.arguments
    if _REFUSED.search(first):
        first, *others = _ENV, first, *others
    command = " ".join([_word(first), *(_word(argument.replace("$", "$$")) for argument in others)])
    lines = "".join(f"Environment={_word(f'{name}={value}')}\n" for name, value in program.variables.items())
    filled = _UNIT.format(command=command, environment=lines + (_LEFT_OUT if program.has_secret else ""))
    return f"{_HEAD}\n{filled}"


def _word(text: str) -> str:
    """One word of a unit's line: quoted where it needs to be, and specifiers doubled."""
    text = text.replace("%", "%%")
    if _PLAIN.fullmatch(text.replace("=", "", 1)):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
