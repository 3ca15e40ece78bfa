"""Whole sweeps of two hosts on the in-memory ports of the simulation: whose a session is, and what each host is spared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.reaper import SETTINGS
from tests.tools.builders import HOUR
from tests.unit.sweep.scene import Scene
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult, RegistryIdentity, Workspace
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.context import ReaperState, SweepRequest, SweptHost
from workspace_reaper.sweep.ledgers import OneLedger
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.sweep.sweep import Sweep

BOTH = r"ws-(?P<id>w\d+)"


class Rows:
    """A registry of these rows, or one that cannot be read."""

    def __init__(self, name: str) -> None:
        self.name = self.location = name
        self.rows: dict[str, Workspace] = {}
        self.fault: str | None = None
        self.asked: list[tuple[Collection[str], bool]] = []
        self.before: Any = lambda: None

    def put(self, workspace_id: str, **flags: Any) -> None:
        self.rows[workspace_id] = Workspace(workspace_id, **flags)

    def canonical(self, text: str) -> str:
        return text

    def look_up(
        self, ids: Collection[str], sentinels: Collection[str], *, every_spelling: bool = False
    ) -> LookupResult | Unknown:
        self.asked.append((ids, every_spelling))
        self.before()
        if self.fault is not None:
            return Unknown(Source.REGISTRY, self.fault)
        found = {one: self.rows[one] for one in ids if one in self.rows}
        identity = RegistryIdentity(self.location, "rows", "1", 1, tuple(self.rows)[:32])
        return LookupResult(found, identity, len(self.rows), False, frozenset(sentinels) & self.rows.keys())

    def worktrees(self) -> frozenset[str]:
        return frozenset()


class Ledgers:
    """The ledgers of two hosts, each by itself."""

    def __init__(self, *ledgers: Any) -> None:
        self._each = [OneLedger(one) for one in ledgers]

    def registries(self) -> list[Any]:
        return [one.registries()[0] for one in self._each]

    def load_states(self, ids: Any, now: float) -> list[Any]:
        return [one.load_states([some], now)[0] for one, some in zip(self._each, ids, strict=True)]

    def together(self) -> Any:
        return self._each[0].together()


class Two:
    """Hosts ``a`` and ``b`` over the tmux of a scene, which has the sessions ``ws-w0`` and ``ws-w1``."""

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        self.scene = Scene()
        patterns = patterns or {"a": BOTH, "b": BOTH}
        parts, socket = self.scene.reaper.dependencies, self.scene.world.tmux.path
        self.registries = {name: Rows(name) for name in patterns}
        self.ledgers = {name: self.scene.world.file.open("rows", name) for name in patterns}
        first = ReaperState(self.scene.reaper.state.sample_interval)
        self.settings = replace(SETTINGS, thresholds=replace(SETTINGS.thresholds, activity_grace=0.0))
        self.hosts = {
            name: SweptHost(
                replace(parts, registry=registry, matcher=SessionMatcher({socket: [patterns[name]]}, registry.canonical)),  # type: ignore[arg-type]
                self.settings,
                first if name == "a" else first.for_another_host(),
                self.ledgers[name],
                SweepRequest(),
                name,
            )
            for name, registry in self.registries.items()
        }

    @property
    def a(self) -> Rows:
        return self.registries["a"]

    @property
    def b(self) -> Rows:
        return self.registries["b"]

    def sweep(self, *asked: str, **request: Any) -> SweepReport:
        """Sweep these hosts, or both."""
        hosts = [
            replace(host, request=SweepRequest(**request))
            if not asked or name in asked
            else replace(host, request=SweepRequest(suspects={}), is_asked=False)
            for name, host in self.hosts.items()
        ]
        return Sweep(hosts, Ledgers(*self.ledgers.values())).run()  # type: ignore[arg-type]

    def entry(self, report: SweepReport, session: str = "ws-w0") -> SessionReport:
        [entry] = [one for one in report.sessions if one.session == session]
        return entry

    def mark(self, number: int, host: str, mark: str) -> None:
        session = self.scene.session(number)
        owner = self.ledgers[host].registry().owner_id
        session.options.update({"@workspace_owner": owner, "@reaper_workspace": mark, "@reaper_self": session.identity})


def test_each_host_sees_its_own_and_the_report_has_all() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"ws-(?P<id>w1)"})
    two.a.put("w0", archived=True)
    two.b.put("w1")
    report = two.sweep()
    assert [(one.host, one.workspace_id, one.outcome) for one in report.sessions] == [
        ("a", "w0", Outcome.REAPED),
        ("b", "w1", Outcome.NONE),
    ]
    assert [one["name"] for one in report.as_dict()["hosts"]] == ["a", "b"]
    assert [one["host"] for one in report.as_dict()["sessions"]] == ["a", "b"]
    assert {report.hosts[name].sweep for name in "ab"} == {report.sweep}
    assert (report.complete, report.exit_code, report.unmanaged) == (True, 0, 0)
    assert all("(host" in event.detail for event in report.events)


def test_a_dry_run_reaps_nothing_of_any_host() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"ws-(?P<id>w1)"})
    two.a.put("w0", archived=True)
    assert two.entry(two.sweep(dry_run=True)).outcome is Outcome.WOULD_REAP


def test_what_no_host_claims_is_unmanaged_once() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"no-(?P<id>w1)"})
    two.a.put("w0")
    assert two.sweep().unmanaged == 1


@pytest.mark.parametrize("knowing", ["a", "b"])
def test_the_only_record_that_knows_it_has_it(knowing: str) -> None:
    two = Two()
    two.registries[knowing].put("w0", archived=True)
    entry = two.entry(two.sweep())
    assert (entry.host, entry.outcome) == (knowing, Outcome.REAPED)


@pytest.mark.parametrize("knowing", ["", "ab"])
def test_where_none_or_both_know_it_it_is_contested(knowing: str) -> None:
    two = Two()
    for name in knowing:
        two.registries[name].put("w0", archived=True)
    report = two.sweep()
    entry = two.entry(report)
    assert (entry.host, entry.verdict, entry.protected_by) == (None, Verdict.HOLD, "contested")
    assert entry.as_json()["contested"] == ["a", "b"]
    assert [one.kind for one in report.events].count("alarm") == 1


def test_where_a_record_cannot_be_read_what_it_claims_is_unknown() -> None:
    two = Two()
    two.a.put("w0", archived=True)
    two.b.fault = "it is locked"
    report = two.sweep()
    entry = two.entry(report)
    assert (entry.host, entry.protected_by) == (None, "unknown")
    assert (report.exit_code, report.hosts["a"].complete, report.hosts["b"].complete) == (3, True, False)


def test_the_record_that_knew_it_before_has_it() -> None:
    two = Two()
    two.a.put("w0")
    two.a.put("w1")
    two.sweep()
    for number in (0, 1):
        two.scene.session(number).options.clear()
    del two.a.rows["w0"]
    two.scene.world.clock.go_on(HOUR)
    assert two.entry(two.sweep()).host == "a"


def test_a_marked_session_is_its_hosts_and_a_rival_that_knows_the_name_saves_it() -> None:
    two = Two()
    two.a.put("w0", archived=True)
    two.b.put("w0")
    two.mark(0, "a", mark_of("w0"))
    entry = two.entry(two.sweep())
    assert (entry.host, entry.protected_by, entry.outcome) == ("a", "contested", Outcome.NONE)
    two.b.put("w0", deleted=True)
    assert two.entry(two.sweep()).outcome is Outcome.REAPED


def test_a_rival_that_cannot_be_read_saves_a_marked_session() -> None:
    two = Two()
    two.a.put("w0", archived=True)
    two.mark(0, "a", mark_of("w0"))
    two.b.fault = "it is locked"
    entry = two.entry(two.sweep())
    assert (entry.host, entry.protected_by) == ("a", "contested")


def test_a_rivals_row_that_appears_after_the_verdict_spares_the_session() -> None:
    two = Two()
    two.a.put("w0", archived=True)

    def appear() -> None:
        if [every for _, every in two.b.asked].count(True) == 2:  # the recheck
            two.b.put("w0")

    two.b.before = appear
    entry = two.entry(two.sweep())
    assert (entry.host, entry.outcome, entry.protected_by) == ("a", Outcome.SPARED, "contested")


def test_a_look_at_one_host_asks_the_others_only_about_what_they_claim() -> None:
    two = Two({"a": BOTH, "b": r"ws-(?P<id>w1)"})
    two.a.put("w0", archived=True)
    report = two.sweep("a", suspects={"w0": WorkspaceEvent.ARCHIVED})
    assert two.entry(report).outcome is Outcome.REAPED
    assert {one for ids, _ in two.b.asked for one in ids} <= {"w1"}
    assert list(report.hosts) == ["a"]


def test_a_look_leaves_other_disputes_alone() -> None:
    two = Two()
    report = two.sweep("a", suspects={"w1": WorkspaceEvent.ARCHIVED})
    assert [(one.session, one.protected_by) for one in report.sessions] == [("ws-w1", "contested")]


def test_a_long_id_is_learned_from_the_ledger_of_the_host_that_marked_it() -> None:
    two, long_id = Two(), "w" * 200
    two.a.put(long_id, archived=True)
    two.ledgers["a"].record_named(long_id, two.scene.world.clock.now())
    two.mark(0, "a", mark_of(long_id))
    entry = two.entry(two.sweep())
    assert (entry.host, entry.workspace_id) == ("a", long_id)


def test_a_mark_of_another_reaper_is_reported_by_the_host_that_claims_it() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"ws-(?P<id>w1)"})
    two.a.put("w0")
    two.mark(0, "a", mark_of("w0"))
    two.scene.session(0).options["@workspace_owner"] = "feed"
    report = two.sweep()
    assert (report.other_owner, report.disowned, report.unmanaged) == (1, ("ws-w0",), 0)


def test_a_socket_that_does_not_answer_is_unknown_to_the_hosts_that_watch_it() -> None:
    two = Two()
    two.scene.world.tmux.fault = "it hangs"
    report = two.sweep()
    assert [one.source for one in report.unknown] == [Source.SOCKET]
    assert report.exit_code == 3


class Elsewhere:
    """Another socket, with one session."""

    socket = "/run/tmux-0/elsewhere"

    def observe(self, owner_id: str, **_: object) -> Listing:
        return Listing(self.socket, ())


def test_a_host_with_a_socket_of_its_own_sees_the_other_ones_sessions_only_as_others() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"ws-(?P<id>w1)"})
    host = two.hosts["b"]
    two.hosts["b"] = replace(host, dependencies=replace(host.dependencies, terminals=(Elsewhere(),)))  # type: ignore[arg-type]
    two.a.put("w0", archived=True)
    report = two.sweep()
    assert [(one.host, one.outcome) for one in report.sessions] == [("a", Outcome.REAPED)]


def test_the_directories_of_other_hosts_are_not_searched_for_leftovers() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"ws-(?P<id>w1)"})
    two.a.put("w0", archived=True)
    two.b.put("w1", worktree="/srv/w1")
    assert two.entry(two.sweep()).outcome is Outcome.REAPED


def test_a_look_at_one_host_does_not_ask_a_record_that_claims_nothing() -> None:
    two = Two({"a": r"ws-(?P<id>w0)", "b": r"ws-(?P<id>w1)"})
    two.a.put("w0", archived=True)
    assert two.entry(two.sweep("a", suspects={"w0": WorkspaceEvent.ARCHIVED})).outcome is Outcome.REAPED
    assert two.b.asked == []
