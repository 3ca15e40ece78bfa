"""Asking plugins which sessions must not be ended. A missing answer is a veto of every candidate."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from workspace_hookspecs._dispatch import restart_after_fork
from workspace_hookspecs._loading import manager_of_one
from workspace_hookspecs._logging import log, one_line
from workspace_hookspecs._types import Candidate, Veto

HOOK: Final = "reaper_veto"


class VetoRequests:
    """The pending requests of one host's plugins, at most one for each plugin. All methods are thread-safe."""

    def __init__(self) -> None:
        self.restart()
        restart_after_fork(self)

    def restart(self) -> None:
        """Forget every pending request in a forked child."""
        self._lock = threading.RLock()  # an RLock for the same reason as in PluginQueue
        # By id(), because plugins need not be hashable. The request keeps its plugin alive, so the id stays unique.
        self._pending: dict[int, VetoRequest] = {}

    def ask(self, plugins: Mapping[str, object], candidates: Sequence[Candidate], timeout: float) -> list[Veto]:
        """Ask every plugin on a daemon thread of its own, and wait up to ``timeout`` seconds for all answers together.

        A plugin that has not returned from an earlier request is not called.
        """
        deadline = time.monotonic() + timeout
        requests = [VetoRequest(name, plugin, tuple(candidates)) for name, plugin in plugins.items()]
        for request in requests:
            self._start(request)
        return [veto for request in requests for veto in request.vetoes(deadline, timeout)]

    def _start(self, request: VetoRequest) -> None:
        with self._lock:
            is_first = self._pending.setdefault(id(request.plugin), request) is request
        if not is_first:
            request.fail("it has not returned from an earlier request")
            return
        name = f"workspace plugin {request.name} {HOOK}"
        try:
            threading.Thread(target=self._run, args=(request,), name=name, daemon=True).start()
        except RuntimeError as error:
            # No thread, or (Python 3.12) the interpreter is shutting down. Not on this thread: the plugin might never return.
            self._remove(request)
            request.fail("no thread can be started to ask it", error)

    def _run(self, request: VetoRequest) -> None:
        try:
            request.run()
        finally:
            # Removed first: the thread that waits for the answer may ask again at once.
            if self._remove(request):
                request.finish()

    def _remove(self, request: VetoRequest) -> bool:
        with self._lock:
            # It is absent in a child that a plugin forked inside its hook: the child runs a copy of this stack.
            is_pending = self._pending.get(id(request.plugin)) is request
            if is_pending:
                del self._pending[id(request.plugin)]
            return is_pending


class _InvalidAnswer(Exception):
    """The plugin returned something other than a mapping of text to text."""


class VetoRequest:
    """One call of one plugin's ``reaper_veto``, and its answer."""

    def __init__(self, name: str, plugin: object, candidates: tuple[Candidate, ...]) -> None:
        self.name = name
        self.plugin = plugin
        self._candidates = candidates
        self._finished = threading.Event()
        self._answer: Mapping[str, str] = {}
        self._failure: str | None = None

    def run(self) -> None:
        """Call the hook on this thread and keep the answer."""
        try:
            self._answer = self._call()
        except _InvalidAnswer as error:
            self._veto_all(str(error))
        except BaseException as error:  # noqa: BLE001  (boundary: one plugin's hook; sys.exit() must not pass for an answer)
            self._veto_all(f"it raised {one_line(error)}", error)

    def finish(self) -> None:
        """Release the thread that waits for the answer."""
        self._finished.set()

    def fail(self, why: str, error: BaseException | None = None) -> None:
        """Finish the request without calling the plugin."""
        self._veto_all(why, error)
        self.finish()

    def vetoes(self, deadline: float, timeout: float) -> list[Veto]:
        """Wait for the answer until the deadline. ``timeout`` is for the message only."""
        if not self._finished.wait(max(0.0, deadline - time.monotonic())):
            why = f"it gave no answer within {timeout:g} s"
            self._log(why)
            return [Veto(self.name, None, why)]
        if self._failure is not None:
            return [Veto(self.name, None, self._failure)]
        return [Veto(self.name, session, reason) for session, reason in self._answer.items()]

    def _veto_all(self, why: str, error: BaseException | None = None) -> None:
        self._failure = why
        self._log(why, error)

    def _log(self, why: str, error: BaseException | None = None) -> None:
        log(logging.ERROR, "plugin %r has vetoed every session in %s(): %s", self.name, HOOK, why, error=error)

    def _call(self) -> dict[str, str]:
        """Return the vetoed candidates. The answer is read here, because reading a plugin's mapping may run any code."""
        names = {candidate.session for candidate in self._candidates}
        vetoed = {}
        for answer in getattr(manager_of_one(self.plugin, self.name).hook, HOOK)(candidates=self._candidates):
            if not isinstance(answer, Mapping):
                raise _InvalidAnswer(f"it returned {type(answer).__name__} instead of a mapping of text to text")
            for session, reason in dict(answer).items():
                if not isinstance(session, str) or not isinstance(reason, str):
                    types = f"{type(session).__name__} to {type(reason).__name__}"
                    raise _InvalidAnswer(f"it returned a mapping of {types} instead of text to text")
                if session in names:
                    vetoed[session] = reason
        return vetoed
