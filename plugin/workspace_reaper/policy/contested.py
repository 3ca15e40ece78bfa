"""What protects a session that another host of this reaper claims too."""

from __future__ import annotations

from workspace_reaper.policy.protection import Protection

CONTESTED = Protection(
    "contested",
    "another host of this reaper claims its name too, and its record knows the workspace or cannot be read",
    holds=lambda case: case.facts.contested is not None,
    detail=lambda case: str(case.facts.contested),
    released_when=lambda _case, _breaker: "the other host's record can be read and has no row for it, or its name is another",
)
