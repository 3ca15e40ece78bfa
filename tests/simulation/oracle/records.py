"""Does the ledger hold the truth, all of it, and was each intent written before the kill?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tests.simulation.oracle.truth_records import End, Identity, Record
from tests.simulation.oracle.violation import Violation

__all__ = ["judge_ledger"]


def judge_ledger(
    ends: Iterable[End],
    records: Sequence[Record],
    *,
    living: Collection[Identity],
    now: float,
    settled: bool = True,
    before: Iterable[Record] = (),
    ended_otherwise: Collection[Identity] = (),
) -> list[Violation]:
    """Return what is wrong with the ledger.

    Args:
        ends: All sessions that truly ended by our kill, and whose records may not have been removed for their age.
        records: All records of the ledger.
        living: The sessions that live.
        now: The true time.
        settled: No sweep is under way, and no crash has come after the last start: then no intent may be open.
        before: The records of the last time, without those that may have been removed for their age.
        ended_otherwise: Sessions that ended by something else, while no kill of ours was without an answer.
    """
    by_identity: dict[Identity, list[Record]] = {}
    for record in records:
        by_identity.setdefault(record.identity, []).append(record)
    found = [violation for end in ends for violation in _end(end, by_identity.get(end.identity, []), settled)]
    for identity, of_one in by_identity.items():
        found += _claims(identity, of_one, living, ended_otherwise, now)
    if settled:
        found += [
            Violation("open", _name(each.identity), "its intent is open", now) for each in records if each.outcome == "open"
        ]
    return [*found, *_lost(before, records, now)]


def _name(identity: Identity) -> str:
    return f"{identity.session_id} on {identity.socket} (server {identity.server_pid})"


def _end(end: End, records: list[Record], settled: bool) -> Iterator[Violation]:
    """The last intent before the kill is the one that tells of it."""
    name = _name(end.identity)
    intents = [record for record in records if record.intended_at <= end.at]
    if not intents:
        rule, why = (
            ("intent", "its intent is younger than its kill") if records else ("unrecorded", "the ledger does not know it")
        )
        yield Violation(rule, name, why, end.at)
        return
    record = max(intents, key=lambda each: each.intended_at)
    if record.outcome != "reaped" and (settled or record.outcome != "open"):
        yield Violation("outcome", name, f"our kill ended it, and the ledger says {record.outcome}", end.at)
    if record.workspace_id not in end.workspaces:
        yield Violation("workspace", name, f"the ledger says {record.workspace_id}, not {sorted(end.workspaces)}", end.at)
    if record.reason != end.reason:
        yield Violation("reason", name, f"the ledger says {record.reason}, not {end.reason}", end.at)


def _claims(
    identity: Identity,
    records: list[Record],
    living: Collection[Identity],
    ended_otherwise: Collection[Identity],
    now: float,
) -> Iterator[Violation]:
    """What the ledger calls reaped is gone, by our kill, and once."""
    reaped = sum(record.outcome == "reaped" for record in records)
    if reaped and identity in living:
        yield Violation("alive", _name(identity), "the ledger says reaped, and it lives", now)
    if reaped and identity in ended_otherwise:
        yield Violation("claimed", _name(identity), "the ledger says reaped, and something else ended it", now)
    if reaped > 1:
        yield Violation("twice", _name(identity), f"the ledger says {reaped} times that it was reaped", now)


def _lost(before: Iterable[Record], records: Iterable[Record], now: float) -> Iterator[Violation]:
    """A record stays, and so does its outcome."""
    outcomes = {record.record_id: record.outcome for record in records}
    for record in before:
        outcome = outcomes.get(record.record_id)
        if outcome is None:
            yield Violation("lost", record.record_id, "the record is gone", now)
        elif record.outcome not in ("open", outcome):
            yield Violation("lost", record.record_id, f"{record.outcome} has become {outcome}", now)
