"""The number of kills in one batch. tmux serves no other client while it runs a batch."""

from __future__ import annotations


class BatchSize:
    """The batch size at which tmux is busy for about 100 ms, learned from the last batch.

    One kill takes between 0.4 and 27 ms on the versions of ``TESTED_VERSIONS``. The first batch is so small that a kill would
    have to take a second before the command comes near its time limit.
    """

    TARGET_SECONDS = 0.1
    MOST = 500

    def __init__(self, size: int = 5) -> None:
        self.size = size

    def learn(self, sessions: int, seconds: float, *, nothing: float = 0.0) -> None:
        """Adapt the size to the last batch. It grows by at most four times, and shrinks at once.

        Args:
            sessions: The number of sessions in the batch.
            seconds: How long it took.
            nothing: How long a command that does little took right before: the client needs that time, not the server.
        """
        # At most a third: a command that was slow by chance must not make the next batch long.
        seconds -= min(nothing, seconds / 3)
        fitting = int(self.TARGET_SECONDS * sessions / seconds) if seconds > 0 else self.MOST
        self.size = max(1, min(fitting, 4 * self.size, self.MOST))
