"""How many kills go into one batch. tmux serves nobody else while it works off a batch."""

from __future__ import annotations

__all__ = ["BatchSize"]


class BatchSize:
    """The batch size at which tmux is busy for about 100 ms, learned from the last batch.

    Measured on tmux 3.3a to 3.8: one kill costs between 0.4 and 27 ms. It begins with so few that a kill would have to take a
    second before a command comes near its time limit.
    """

    TARGET_SECONDS = 0.1
    MOST = 500

    def __init__(self, size: int = 5) -> None:
        self.size = size

    def learn(self, sessions: int, seconds: float, *, nothing: float = 0.0) -> None:
        """A batch of so many sessions took so long, where ``nothing`` is what a command that asks little took right before:
        that much is the client's, and holds nobody up. The size grows by at most four times, and shrinks at once."""
        # At most a third: a command that was slow by chance must not make the next batch long.
        seconds -= min(nothing, seconds / 3)
        fitting = int(self.TARGET_SECONDS * sessions / seconds) if seconds > 0 else self.MOST
        self.size = max(1, min(fitting, 4 * self.size, self.MOST))
