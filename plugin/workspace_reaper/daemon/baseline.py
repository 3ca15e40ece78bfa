"""When has the watching of a database begun?"""

from __future__ import annotations

import threading

from workspace_reaper.model.ports import Feed
from workspace_reaper.model.session import Census, Unknown

__all__ = ["Baseline"]


class Baseline:
    """A feed that tells when it was read for the first time: what is committed from then on is noticed. See ``ports.Feed``."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._taken = threading.Event()

    def is_taken(self, timeout: float) -> bool:
        """Wait until it is taken, or could not be; False after so many seconds."""
        return self._taken.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """As the feed."""
        return self._feed.wait(timeout)

    def read(self) -> Census | Unknown:
        """As the feed."""
        try:
            return self._feed.read()
        finally:
            self._taken.set()

    def close(self) -> None:
        """As the feed."""
        self._taken.set()
        self._feed.close()
