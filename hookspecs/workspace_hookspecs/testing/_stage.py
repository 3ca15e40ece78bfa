"""One host, one check: the host's methods, and what the plugins heard of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import pytest

from workspace_hookspecs.testing._host import HostUnderTest, call
from workspace_hookspecs.testing._journal import Note
from workspace_hookspecs.testing._listeners import ListenerError
from workspace_hookspecs.testing._mistakes import with_notes
from workspace_hookspecs.testing._observer import Hold, Observer

__all__ = ["Stage"]


class Stage:
    """The host under test, its plugins' journal, and the end of both."""

    def __init__(self, host: HostUnderTest, observer: Observer) -> None:
        self.host = host
        self._observer = observer
        self._closed = False
        observer.state = self.state

    @property
    def notes(self) -> list[Note]:
        """What the plugins told so far."""
        return self._observer.journal.notes()

    def create(self) -> str:
        """A new workspace's id."""
        workspace_id = self.do("create")
        if not isinstance(workspace_id, str) or not workspace_id.strip():
            self.fail(
                f"create() returned {workspace_id!r}. Return the workspace's id as text, in the form in which your server "
                "fires it."
            )
        if (state := self.state(workspace_id)) != "active":
            self.fail(f"create() has returned {workspace_id!r}, and state() calls that workspace {state}. Commit before.")
        return workspace_id

    def state(self, workspace_id: str) -> str:
        """``active``, ``archived`` or ``deleted``."""
        state = call(self.host.state, workspace_id)
        if state not in ("active", "archived", None):
            raise TypeError(f'state() returned {state!r}: return "active", "archived" or None')
        return state or "deleted"

    def do(self, name: str, *arguments: str) -> Any:
        """Call a method of the host. That a plugin's error comes through is a failure."""
        try:
            return call(self.need(name), *arguments)
        except Exception as error:
            if not _is_from_a_plugin(error):
                raise
        return self.fail(f"{name}() raised what a plugin raised. {_ISOLATE}")

    def need(self, name: str) -> Callable[..., Any]:
        """A method of the host that may be missing: then the check is skipped."""
        method = getattr(self.host, name, None)
        if method is None:
            pytest.skip(f"the host under test has no {name}(): nothing is known of how it does that")
        return method  # type: ignore[no-any-return]

    @contextmanager
    def neighbour(self, behaviour: str) -> Iterator[Hold]:
        """Another plugin of the host raises, or blocks, at each event meanwhile."""
        with self._observer.holding(behaviour) as hold:
            yield hold

    def wait(self, holds: Callable[[Sequence[Note]], object]) -> bool:
        """Wait until that holds for the notes; whether it does before the patience is over."""
        return self._observer.journal.wait(lambda notes: bool(holds(notes)), self._observer.patience)

    def close(self) -> None:
        """Shut the host down; once."""
        if not self._closed:
            self._closed = True
            call(self.host.close)

    def finish(self) -> None:
        """Shut the host down after a check, whatever became of it."""
        with suppress(ListenerError):
            self.close()

    def judge(self, mistake: str | None) -> None:
        """Fail with that mistake, if there is one."""
        if mistake is not None:
            self.fail(mistake)

    def fail(self, mistake: str) -> NoReturn:
        """Fail, and show what the plugins saw."""
        pytest.fail(with_notes(mistake, self.notes), pytrace=False)


_ISOLATE = (
    "A host calls plugins through WorkspacePlugins, which calls each on a thread of its own and logs what it raises; bare "
    "pluggy calls them on yours."
)


def _is_from_a_plugin(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ListenerError):
            return True
        error = error.__cause__ or error.__context__
    return False
