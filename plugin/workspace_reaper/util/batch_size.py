"""The number of kills in one batch. tmux serves no other client while it runs a batch."""

from __future__ import annotations


class BatchSize:
    """The batch size at which tmux works for about 100 ms, learned from the last batch.

    One kill takes between 0.4 and 27 ms on the versions of ``TESTED_VERSIONS``. The first batch is so small that a kill would
    have to take a second before the command comes near its time limit.

    The server's own CPU time counts where it is known: on a busy machine each command takes longer, and small batches, each
    with its own recheck, would make it busier still. The time on the clock then only keeps a batch far from its time limit.

    Each client costs something, whatever it asks for: on a server with 1,000 sessions 30 to 40 ms of its time on tmux 3.3a,
    which polls the terminals of all panes and reads its list of open files for each message. That share does not shrink with
    the batch, so it does not count.
    """

    TARGET_SECONDS = 0.1
    LONGEST_SECONDS = 1.0
    LEAST = 5
    MOST = 500

    def __init__(self, size: int = LEAST) -> None:
        self.size = size

    def learn(self, sessions: int, seconds: float, *, server: float | None = None, nothing: float = 0.0) -> None:
        """Adapt the size to the last batch. It grows by at most four times, and shrinks at once.

        Args:
            sessions: The number of sessions in the batch.
            seconds: How long it took.
            server: The CPU time that the tmux server used for it, in seconds. None if that is unknown.
            nothing: What a command that does little took right before, in CPU time of the server if ``server`` is known.
        """
        spent = seconds if server is None else server
        # At most a third: a command that was slow by chance must not make the next batch long.
        fitting = self._fitting(sessions, spent - min(nothing, spent / 3), self.TARGET_SECONDS)
        if server is not None:
            fitting = min(max(self.LEAST, fitting), self._fitting(sessions, seconds, self.LONGEST_SECONDS))
        self.size = max(1, min(fitting, 4 * self.size, self.MOST))

    def _fitting(self, sessions: int, seconds: float, target: float) -> int:
        return int(target * sessions / seconds) if seconds > 0 else self.MOST
