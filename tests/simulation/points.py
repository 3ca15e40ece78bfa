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
    """Counts the calls of the ports in one step, and interrupts those that the plan names. ``armed`` are these, by their point.

    ``strike`` carries out an interruption. It returns a function that makes the answer out of the real call, or None.
    """

    def __init__(self, clock: WorldClock, strike: Callable[[Interruption], Answer | None]) -> None:
        self.clock = clock
        self.armed: dict[str, list[Interruption]] = {}
        self._strike = strike
        self._passed: dict[str, int] = {}

    def arm(self, during: Sequence[Interruption]) -> None:
        """Begin a step."""
        self.armed, self._passed = {}, {}
        for one in during:
            self.armed.setdefault(one.point, []).append(one)

    def interrupt(self, point: str) -> Answer | None:
        """Count one more call at an armed point, and carry out what is planned before it."""
        number = self._passed[point] = self._passed.get(point, 0) + 1
        answer = None
        for one in self.armed[point]:
            if one.nth == number:
                answer = self._strike(one) or answer
        return answer


class Interposed:
    """A port whose calls pass through `Points`. Its properties do not."""

    def __init__(self, name: str, real: Any, points: Points) -> None:
        self._name, self._real, self._points = name, real, points

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._real, attribute)
        if not callable(found):
            return found
        point, points = f"{self._name}.{attribute}", self._points

        def passing(*args: Any, **kwargs: Any) -> Any:
            # Each call takes a moment, so that no two things happen at once.
            points.clock.take_a_moment()
            answer = points.interrupt(point) if point in points.armed else None
            return found(*args, **kwargs) if answer is None else answer(lambda: found(*args, **kwargs), args)

        self.__dict__[attribute] = passing
        return passing
