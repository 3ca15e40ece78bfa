"""Asking plugins which sessions must stay: all at the same time, with a limit that holds whatever they do.

No answer is a veto of everything: the one who asks is about to end what it asks about.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from workspace_hookspecs._checks import manager_of_one
from workspace_hookspecs._forks import restart_in_children
from workspace_hookspecs._reporting import report, sentence
from workspace_hookspecs._values import Candidate, Veto

HOOK: Final = "reaper_veto"
_BUSY: Final = "it is still busy with an earlier question"
_NO_THREAD: Final = "no thread can be started to ask it"


class Inquiry:
    """Who is being asked at this moment. Every method is safe from any thread."""

    def __init__(self) -> None:
        self.restart()
        restart_in_children(self)

    def restart(self) -> None:
        """In a forked child: nobody is being asked, and no lock is held."""
        self._lock = threading.RLock()  # an RLock for the same reason as in Lane
        # By id(), for plugins need not be hashable; the question keeps its plugin alive, so the id stays its own.
        self._open: dict[int, _Question] = {}

    def ask(self, plugins: Mapping[str, object], candidates: Sequence[Candidate], timeout: float) -> list[Veto]:
        """Ask each plugin, by name, on a daemon thread of its own, and wait for at most ``timeout`` seconds in all.

        Only vetoes of candidates are returned. A plugin that still is busy with an earlier question is not asked.
        """
        deadline = time.monotonic() + timeout
        questions = [_Question(name, plugin, tuple(candidates)) for name, plugin in plugins.items()]
        for question in questions:
            self._put(question)
        return [veto for question in questions for veto in question.vetoes(deadline, timeout)]

    def _put(self, question: _Question) -> None:
        with self._lock:
            free = self._open.setdefault(id(question.plugin), question) is question
        if not free:
            question.refuse(_BUSY)
            return
        name = f"workspace plugin {question.name} {HOOK}"
        try:
            threading.Thread(target=self._run, args=(question,), name=name, daemon=True).start()
        except RuntimeError as error:
            # Out of threads, or (Python 3.12) the interpreter is ending. Not on this thread: it might never come back.
            self._close(question)
            question.refuse(_NO_THREAD, error)

    def _run(self, question: _Question) -> None:
        try:
            question.put()
        finally:
            # In this order, so that whoever has the answer may ask again.
            if self._close(question):
                question.settle()

    def _close(self, question: _Question) -> bool:
        with self._lock:
            # It is not there: a plugin forked inside its hook, and this is its child, which got a copy of this stack.
            mine = self._open.get(id(question.plugin)) is question
            if mine:
                del self._open[id(question.plugin)]
            return mine


class _Unusable(Exception):
    """An answer that is none; the text says what it is."""


class _Question:
    """One plugin's question, and what it says to it."""

    def __init__(self, name: str, plugin: object, candidates: tuple[Candidate, ...]) -> None:
        self.name = name
        self.plugin = plugin
        self._candidates = candidates
        self._settled = threading.Event()
        self._answer: Mapping[str, str] = {}
        self._failure: str | None = None

    def put(self) -> None:
        """Call the plugin's hook, on this thread."""
        try:
            self._answer = self._ask()
        except _Unusable as unusable:
            self._fail(str(unusable))
        except BaseException as error:  # noqa: BLE001  (boundary: one plugin's hook; sys.exit() must not pass for an answer)
            self._fail(f"it raised {sentence(error)}", error)

    def settle(self) -> None:
        """There is an answer, or there will be none."""
        self._settled.set()

    def refuse(self, why: str, error: BaseException | None = None) -> None:
        """It can't be put."""
        self._fail(why, error)
        self.settle()

    def vetoes(self, deadline: float, timeout: float) -> list[Veto]:
        """Wait for the answer until then."""
        if not self._settled.wait(max(0.0, deadline - time.monotonic())):
            late = f"it gave no answer within {timeout:g} s"
            self._log(late)
            return [Veto(self.name, None, late)]
        if self._failure is not None:
            return [Veto(self.name, None, self._failure)]
        return [Veto(self.name, session, reason) for session, reason in self._answer.items()]

    def _fail(self, why: str, error: BaseException | None = None) -> None:
        self._failure = why
        self._log(why, error)

    def _log(self, why: str, error: BaseException | None = None) -> None:
        report(logging.ERROR, "plugin %r has vetoed every session in %s(): %s", self.name, HOOK, why, error=error)

    def _ask(self) -> dict[str, str]:
        """What it vetoes. The answer is read here, for a mapping of the plugin's own may do anything when it is read."""
        names = {candidate.session for candidate in self._candidates}
        vetoed = {}
        for answer in getattr(manager_of_one(self.plugin, self.name).hook, HOOK)(candidates=self._candidates):
            if not isinstance(answer, Mapping):
                raise _Unusable(f"it answered with {type(answer).__name__}, and not with a mapping of text to text")
            for session, reason in dict(answer).items():
                if not isinstance(session, str) or not isinstance(reason, str):
                    kinds = f"{type(session).__name__} to {type(reason).__name__}"
                    raise _Unusable(f"it answered with a mapping of {kinds}, and not of text to text")
                if session in names:
                    vetoed[session] = reason
        return vetoed
