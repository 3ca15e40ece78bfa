"""Sessions, rows, facts and all that the pure rules take, each with values under which nothing protects and nothing condemns.

A test states only what it is about. Times are Unix seconds; ``NOW`` is the present of every builder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import settings

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.process import Origin, OwnLocation, Process, ProcessKey, ProcessTable
from workspace_reaper.model.reap import Intent, Outcome
from workspace_reaper.model.session import Listing, Owner, Pane, Server, Session, SessionKey, Window
from workspace_reaper.model.state import BreakerState, LedgerState, RegistryState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult, RegistryIdentity, Workspace, WorkspaceList
from workspace_reaper.policy import protections, rules
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.policy.verdict import Held, Judgement
from workspace_reaper.policy.witness import Witness
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.report import SessionReport

Read = TypeVar("Read", LookupResult, RegistryState, WorkspaceList)

MINUTE, HOUR, DAY = 60, 3600, 86_400
NOW = 1_790_000_000
"""2026-09-21, a Monday."""

SOCKET = "/run/tmux-0/workspaces"
OTHER_SOCKET = "/run/tmux-0/others"
SERVER = Server(pid=4242, start=NOW - 30 * DAY, version="3.3a")
OURS = "5ca1ab1e"
"""Our stamp."""

DEFAULTS = Thresholds(
    idle_ttl=48 * HOUR,
    min_age=120,
    activity_grace=60,
    archived_ttl=24 * HOUR,
    stranger_ttl=12 * HOUR,
    dead_ttl=10 * MINUTE,
    confirmation_gap=30,
    orphan_confirmations=2,
)
"""The thresholds as the settings have them by default."""


def property_settings(examples: int) -> settings:
    """Return the settings of the profile (see ``tests/conftest.py``) with this number of examples."""
    return settings(max_examples=examples)


def session_key(number: int = 1, *, socket: str = SOCKET, age: int = 7 * DAY) -> SessionKey:
    """The identity of session ``$number``, created ``age`` seconds ago."""
    return SessionKey(socket, SERVER.pid, SERVER.start, f"${number}", NOW - age)


def session(
    number: int = 1, *, socket: str = SOCKET, age: int = 7 * DAY, idle: int = HOUR, name: str | None = None, **changes: Any
) -> Session:
    """A week old, nobody looks at it, and its only window has been quiet for an hour. It belongs to ``w<number>``."""
    bare = Session(
        key=session_key(number, socket=socket, age=age),
        name=f"ws_w{number}" if name is None else name,
        activity=NOW - age,
        last_attached=None,
        attached=0,
        has_client=False,
        group_has_client=False,
        grouped=False,
        kept=False,
        all_panes_dead=False,
        owner=Owner.NONE,
        version=SERVER.version,
        windows=(Window("@1", NOW - idle, linked=False),),
        panes=(pane(number),),
    )
    if "owner" in changes:
        # All marks of a registry: a session that only has the owner's says so.
        owner = {Owner.NONE: "", Owner.OURS: OURS, Owner.FOREIGN: "feed"}[changes["owner"]]
        mark = "" if changes["owner"] is Owner.NONE else mark_of(f"w{number}")
        changes = {"owner_id": owner, "workspace_mark": mark, "is_self_marked": bool(mark), **changes}
    return replace(bare, **changes)


def pane(number: int = 1, *, dead: bool = False, dead_for: int | None = None) -> Pane:
    """Pane ``%number`` with process ``1000 + number``; ``dead_for`` seconds, by tmux's word, if it is dead."""
    return Pane(f"%{number}", "@1", 1000 + number, dead, None if dead_for is None else NOW - dead_for)


def process(
    pid: int,
    *,
    parent: int = 1,
    name: str = "sh",
    started: float = 100.0,
    cpu_seconds: float = 0.0,
    origin: Origin | None = None,
) -> Process:
    """A process that started after the server did, in nobody's foreground."""
    key = ProcessKey(pid, started)
    return Process(key, parent, name, zombie=False, group=pid, foreground=pid, cpu_seconds=cpu_seconds, origin=origin)


def table(*processes: Process) -> ProcessTable:
    """One pass over these processes."""
    return ProcessTable(float(NOW), {one.key.pid: one for one in processes})


def row(number: int = 1, **changes: Any) -> Workspace:
    """The row of ``w<number>``, with no flag set."""
    return Workspace(f"w{number}", **changes)


def facts(row: Workspace | None = None, **changes: Any) -> Facts:
    """What is known of the session ``$1`` of workspace ``w1``."""
    return replace(Facts(session(), "w1", row, float(NOW)), **changes)


def of_session(before: Facts, **changes: Any) -> Facts:
    """The same facts with these fields of the session changed."""
    return replace(before, session=replace(before.session, **changes))


def idle_for(seconds: int, before: Facts) -> Facts:
    """The same facts of a session whose only window has been quiet for so many seconds."""
    return of_session(before, windows=(Window("@1", NOW - seconds, linked=False),))


def rows(*workspaces: Workspace, **changes: Any) -> LookupResult:
    """The registry's answer: these rows and no other."""
    ids = tuple(workspace.workspace_id for workspace in workspaces)
    found = {workspace.workspace_id: workspace for workspace in workspaces}
    identity = RegistryIdentity("file 1", "standard", sentinels=ids)
    return changed(LookupResult(found, identity, total=len(ids), capped=False, sentinels_found=frozenset(ids)), **changes)


def registry(*oldest: str, **changes: Any) -> RegistryState:
    """What is remembered of the registry that ``rows`` answers for, once a full sweep has read it."""
    known = RegistryState(OURS, 1, RegistryIdentity("file 1", "standard", sentinels=oldest), total=len(oldest))
    return changed(known, **changes)


def changed(read: Read, **changes: Any) -> Read:
    """The same with these fields changed: its own, or those of its identity."""
    of_identity = {name: changes.pop(name) for name in RegistryIdentity.__dataclass_fields__ if name in changes}
    return replace(read, identity=replace(read.identity, **of_identity), **changes)


def ledger_state(**changes: Any) -> LedgerState:
    """Nothing is remembered but a registry that was read once."""
    return replace(LedgerState(registry()), **changes)


NAMES = SessionMatcher({SOCKET: [r"ws_(?P<id>w\d+)"], OTHER_SOCKET: [r"ws_(?P<id>w\d+)"]}, str)


def listing(*sessions: Session, socket: str = SOCKET, **changes: Any) -> Listing:
    """A socket's valid answer."""
    return replace(Listing(socket, sessions, server=SERVER if sessions else None), **changes)


def unreadable(name: str = "ws_w1", socket: str = SOCKET) -> Unknown:
    """A session with a field that can't be read."""
    return Unknown(Source.SESSION, f"the activity of {name} is empty", socket, name)


def blind_socket(socket: str = OTHER_SOCKET) -> Unknown:
    """A socket that did not answer."""
    return Unknown(Source.SOCKET, f"{socket}: timed out", socket)


def observation(*answers: Listing | Unknown) -> Observation:
    """What one full look at these sockets has found."""
    seen = Observation()
    for answer in answers:
        if isinstance(answer, Unknown):
            seen.unknown.append(answer)
            seen.everything = False
        else:
            seen.add(answer, NAMES, None)
    return seen


@dataclass(frozen=True)
class Somewhere(OwnLocation):
    """Where the reaper runs: by default in none of the sessions."""

    pids: frozenset[int] = frozenset({1, 2})
    tmux: tuple[int, str] | None = None


@dataclass(frozen=True)
class ProcessesThatAre:
    """A process table with these processes: pid to start time."""

    started: Mapping[int, float] = field(default_factory=dict)

    def start_time(self, pid: int) -> float | None:
        return self.started.get(pid)

    def may_live(self, pid: int, started: float | None) -> bool:
        return pid in self.started and started in (None, self.started[pid])

    def own_location(self) -> Somewhere:
        return Somewhere()


def circumstances(
    known: LedgerState | None = None,
    *,
    now: float = NOW,
    recognised: Iterable[str] = (),
    reported: Mapping[str, WorkspaceEvent] | None = None,
    breaker: BreakerState | None = None,
    generation: int | None = None,
    own_location: Somewhere | None = None,
    witnesses: Mapping[str, Witness] | None = None,
) -> FactsBuilder:
    """What is the same for all sessions of a sweep over this state."""
    known = ledger_state() if known is None else known
    return FactsBuilder(
        state=known,
        confirmations=Confirmations(known.confirmations, now),
        generation=known.registry.generation if generation is None else generation,
        reported=dict.fromkeys(known.reported, WorkspaceEvent.DELETED) if reported is None else reported,
        recognised=frozenset(recognised),
        breaker=known.breaker if breaker is None else breaker,
        own_location=Somewhere() if own_location is None else own_location,
        witnesses=witnesses or {},
    )


def entry(number: int = 1, verdict: Verdict = Verdict.REAP, outcome: str = "none", **changes: Any) -> SessionReport:
    """The line of session ``$number`` in a report. What is held is held by a client."""
    by = (protections.ATTACHED,) if verdict is Verdict.HOLD else ()
    held = () if verdict is Verdict.KEEP else (Held(rules.ORPHAN, by),)
    judgement = Judgement(verdict, rules.ORPHAN if held else None, by, held)
    line = SessionReport(
        socket=SOCKET,
        session=f"ws_w{number}",
        session_id=f"${number}",
        workspace_id=f"w{number}",
        verdict=verdict,
        reason=None if verdict is Verdict.KEEP else "orphan",
        outcome=Outcome(outcome),
        key=session_key(number),
        judgement=judgement,
    )
    return replace(line, **changes)


def intent(number: int = 1, *, socket: str = SOCKET) -> Intent:
    """A kill of session ``$number`` that was about to be tried."""
    key = session_key(number, socket=socket)
    return Intent(f"reap {number}", "sweep", NOW - MINUTE, key, f"ws_w{number}", f"w{number}", "orphan", {})
