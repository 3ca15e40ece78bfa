"""What operators ask of several hosts at once: their status, their history, and a session of any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from workspace_reaper.model.errors import NoSuchSession
from workspace_reaper.model.reap import Reap
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.status import Status, read_history

if TYPE_CHECKING:
    from workspace_reaper.sweep.explain import Explanation

T = TypeVar("T")

# The exit codes of ``status --check``, the gravest first.
_GRAVEST = (1, 3, 0)


def status_as_dict(statuses: Mapping[str | None, Status]) -> dict[str, Any]:
    """Return the object that ``status --json`` prints, for the hosts by name."""
    if len(statuses) == 1 and None in statuses:
        return statuses[None].as_dict()
    each = {str(name): status.as_dict() for name, status in statuses.items()}
    every = list(each.values())
    latched = next((one["breaker"] for one in every if one["breaker"]["state"] == "latched"), every[0]["breaker"])
    complete = [one["last_complete_sweep"] for one in every]
    whole: dict[str, Any] = {
        **every[0],
        "complete": all(one["complete"] for one in every),
        "unknown": _without_repetition(part for one in every for part in one["unknown"]),
        "vetoes": _without_repetition(text for one in every for text in one["vetoes"]),
        "totals": {name: sum(one["totals"][name] for one in every) for name in every[0]["totals"]},
        "breaker": latched,
        "last_complete_sweep": None if None in complete else min(complete),
        "registry": {},
        "hosts": [
            {
                "name": name,
                **{key: one[key] for key in ("registry", "breaker", "last_complete_sweep", "complete")},
            }
            for name, one in each.items()
        ],
    }
    for kind in ("sessions", "alarms", "announced", "renamed"):
        # A session that several hosts claim has an entry of its own.
        whole[kind] = [{"host": name, **entry} for name, one in each.items() for entry in one[kind]]
    whole["totals"]["unmanaged"] = min(one["totals"]["unmanaged"] for one in every)
    return whole


def check_code(statuses: Mapping[str | None, Status]) -> int:
    """Return the exit code of ``status --check``: the gravest of the hosts."""
    return next(code for code in _GRAVEST if code in {status.check_code for status in statuses.values()})


def histories(hosts: Sequence[Reaper], limit: int) -> list[tuple[Reaper, Reap]]:
    """Return the latest reaps of these hosts, newest first. Raises ``LedgerError``."""
    found = [(one, reap) for one in hosts for reap in read_history(one, limit)]
    return sorted(found, key=lambda pair: pair[1].intent.at, reverse=True)[:limit]


def explain_of_any(hosts: Sequence[Reaper], name: str, socket: str | None) -> Explanation:
    """Explain a session of any of these hosts. Raises as ``explain_session`` does."""
    from workspace_reaper.operations.sessions import explain_session

    found = _each(hosts, lambda host: explain_session(host, name, socket))
    return next((one for one in found if one.entry["workspace_id"] is not None), found[0])


def of_any(hosts: Sequence[Reaper], ask: Callable[[Reaper], T]) -> T:
    """Return the answer of the first host that has such a session. Raises ``NoSuchSession`` if none has."""
    return next(iter(_each(hosts, ask)))


def _each(hosts: Sequence[Reaper], ask: Callable[[Reaper], T]) -> list[T]:
    """Return the answers of the hosts that have such a session. Raises the last ``NoSuchSession`` if none has."""
    found, missing = [], NoSuchSession("there is no host")
    for host in hosts:
        try:
            found.append(ask(host))
        except NoSuchSession as error:
            missing = error
    if not found:
        raise missing
    return found


def _without_repetition(parts: Any) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        if part not in found:
            found.append(part)
    return found
