"""One tmux socket, read strictly and killed from under a guard. Importing this loads no libtmux: the first command does."""

from workspace_reaper.tmux.sockets import socket_path
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.tmux.version import MINIMUM, ClientVersion, require_tmux, tmux_version

__all__ = [
    "MINIMUM",
    "ClientVersion",
    "TmuxTerminal",
    "require_tmux",
    "socket_path",
    "tmux_version",
]
