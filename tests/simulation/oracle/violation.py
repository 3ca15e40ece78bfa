"""A violation: what the oracle reports."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the reaper did, or left undone, against docs/how-it-decides.md.

    Attributes:
        rule: The rule, in one or two words, such as ``attached``. Rules have the names of the protections where there is one.
        what: The session, process or record.
        why: The facts that make it wrong.
        time: The true time.
    """

    rule: str
    what: str
    why: str
    time: float

    def __str__(self) -> str:
        return f"{self.time:.3f} {self.rule}: {self.what}: {self.why}"
