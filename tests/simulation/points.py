"""The points at which the world may change: each call of a port by the reaper.

A port is wrapped in an `Interposed`. Before the call an event of the plan may happen, the process may stop, freeze or crash,
and the answer may be lost or withheld, within what the port's contract allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.simulation.plan import Interruption
from tests.simulation.world import WorldClock

__all__ = ["Crash", "Interposed", "Points"]


# Makes the answer out of the real call and its arguments.
Answer = Callable[[Callable[[], Any], "tuple[Any, ...]"], Any]


class Crash(BaseException):
    """The process of the reaper is gone. Nothing in it may catch that."""


class Points:
    """Counts the calls of the ports in one step, and interrupts those that the plan names.

    ``strike`` carries out an interruption. It returns a function that makes the answer out of the real call, or None.
    """

    def __init__(self, clock: WorldClock, strike: Callable[[Interruption], Answer | None]) -> None:
        self._clock = clock
        self._strike = strike
        self._armed: dict[str, list[Interruption]] = {}
        self._passed: dict[str, int] = {}

    def arm(self, during: Sequence[Interruption]) -> None:
        """Begin a step."""
        self._armed, self._passed = {}, {}
        for one in during:
            self._armed.setdefault(one.point, []).append(one)

    def call(self, point: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Let the reaper call this method."""
        # Each call takes a moment, so that no two things happen at once.
        self._clock.take_a_moment()
        armed = self._armed.get(point)
        if armed is None:
            return method(*args, **kwargs)
        number = self._passed[point] = self._passed.get(point, 0) + 1
        answer = None
        for one in armed:
            if one.nth == number:
                answer = self._strike(one) or answer
        return method(*args, **kwargs) if answer is None else answer(lambda: method(*args, **kwargs), args)


class Interposed:
    """A port whose calls pass through `Points`. Its properties do not."""

    def __init__(self, name: str, real: Any, points: Points) -> None:
        self._name, self._real, self._points = name, real, points

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._real, attribute)
        if not callable(found):
            return found
        point, call = f"{self._name}.{attribute}", self._points.call

        def passing(*args: Any, **kwargs: Any) -> Any:
            return call(point, found, args, kwargs)

        self.__dict__[attribute] = passing
        return passing
