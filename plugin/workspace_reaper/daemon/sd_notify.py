"""Notifications of the service manager (sd_notify(3)): datagrams to the socket that ``NOTIFY_SOCKET`` names."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

from workspace_reaper.sweep.log import log_event
from workspace_reaper.sweep.report import printable

# Seconds that a datagram may wait for space in the queue of the socket.
_PATIENCE = 1.0


class ServiceManager:
    """The service manager. Nothing is sent if ``NOTIFY_SOCKET`` is not set. A manager that cannot be reached is logged once.

    Args:
        environ: The environment. Its variables for the service manager are removed, so that no child process uses them.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address  # @: the abstract name space
        interval, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", str(os.getpid()))
        is_watched = bool(self._address) and interval.isdigit() and watched == str(os.getpid())
        self._watchdog = int(interval) / 1e6 if is_watched else 0.0
        self._failed = False

    @property
    def ping_every(self) -> float | None:
        """Seconds between two signs of life: half of the watchdog interval. None if there is no watchdog."""
        return self._watchdog / 2 or None

    def ready(self, status: str) -> None:
        """Report that the daemon serves with the configuration that it read last."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Report that the configuration is being reloaded. ``ready`` must follow."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Report that the daemon is stopping."""
        self._send("STOPPING=1", _status("stopping"))

    def alive(self) -> None:
        """Send the watchdog a sign of life."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Report the state of the daemon as one line of text."""
        self._send(_status(text))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.settimeout(_PATIENCE)
                client.connect(self._address)
                client.send("\n".join(lines).encode("utf-8", "surrogateescape"))
        except OSError as error:
            if not self._failed:
                self._failed = True
                log_event(logging.WARNING, f"the service manager cannot be notified of the daemon's state: {error}")


def _status(text: str) -> str:
    return f"STATUS={printable(text)}"
