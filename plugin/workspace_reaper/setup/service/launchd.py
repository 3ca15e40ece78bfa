"""A property list for launchd, as an agent of the user: see launchd.plist(5)."""

from __future__ import annotations

import plistlib
from pathlib import Path

from workspace_reaper.setup.service.program import Program

__all__ = ["LABEL", "property_list"]

LABEL = "workspace-reaper"

_COMMENT = """\
<!--
The workspace reaper's daemon, as an agent of yours.

Put it in place and start it, now and at each login:
  workspace-reaper service launchd > ~/Library/LaunchAgents/{label}.plist
  launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{label}.plist
See how it is, read its log, and tell it that its configuration has changed:
  launchctl print gui/$(id -u)/{label}
  tail -f ~/Library/Logs/{label}.log
  launchctl kill SIGHUP gui/$(id -u)/{label}
Take it out again:
  launchctl bootout gui/$(id -u)/{label}
  rm ~/Library/LaunchAgents/{label}.plist

KeepAlive: it is started anew when it fails, not when it was stopped.
AbandonProcessGroup: when it ends, nothing that it has started is taken down with it. It starts no tmux server itself.
No limit of its memory is set: launchd has none that counts what is resident.
LC_ALL: tmux writes the separators of its listings as "_" outside a UTF-8 locale.
{secret}-->
"""

_LEFT_OUT = """
WORKSPACE_REAPER_DATABASE_URL is set, and may hold a password, so it is not written here: write the URL as database_url in a
configuration file that nobody else can read (chmod 600), or leave the password to ~/.pgpass.
"""


def property_list(program: Program, home: Path) -> str:
    """The agent's property list as XML. ``home`` is the user's, for the log."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(program.arguments),
        "EnvironmentVariables": {"LC_ALL": "en_US.UTF-8", **program.variables},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 10,
        "AbandonProcessGroup": True,
        "Umask": 0o077,
        "StandardErrorPath": str(home / "Library" / "Logs" / f"{LABEL}.log"),
    }
    text = plistlib.dumps(agent, sort_keys=False).decode("utf-8")
    comment = _COMMENT.format(label=LABEL, secret=_LEFT_OUT if program.has_secret else "")
    head, root, body = text.partition("<plist ")
    return f"{head}{comment}{root}{body}"
