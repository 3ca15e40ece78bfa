"""Whatever comes in: from tmux, from a configuration, from the ledger, from the command line. It is understood, or refused in
words; nothing else happens.

``HYPOTHESIS_EFFORT=100`` tries a hundred times as many examples, other ones each time.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import workspace_reaper
from tests.tools.builders import property_settings
from tests.tools.hosts import StandardHost
from tests.tools.tmux import TmuxServer
from workspace_reaper.cli import main
from workspace_reaper.cli.history_table import show_history
from workspace_reaper.cli.tables import show_status
from workspace_reaper.ledger import SqliteLedger
from workspace_reaper.ledger.migrations import migrate
from workspace_reaper.model.errors import ConfigurationError, LedgerError
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.reap import EndedProcess, Intent, ProcessCleanup, ReapResult, RecordedProcess, SurvivingProcess
from workspace_reaper.model.session import Listing, Owner, Session, SessionKey
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    Confirmation,
    CpuSample,
    CpuState,
    Event,
    Finding,
    ServerState,
    StateChanges,
)
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, KillResult
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.settings import Settings, load_settings
from workspace_reaper.settings.types import expand_user
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import printable, reap_as_json
from workspace_reaper.tmux.commands import read_answers, read_kept
from workspace_reaper.tmux.formats import range_filter
from workspace_reaper.tmux.listing import ListingReader
from workspace_reaper.tmux.panes import BadRows, read_rows
from workspace_reaper.tmux.restore import read_layout
from workspace_reaper.tmux.terminal import TmuxTerminal
from workspace_reaper.tmux.version import is_old, parse_version
from workspace_reaper.util.text import readable_lines

pytestmark = pytest.mark.once

EFFORT = int(os.environ.get("HYPOTHESIS_EFFORT", "1"))
NOW = 1_790_000_000.0


def fuzz(examples: int) -> settings:
    """So many examples."""
    health = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
    return settings(
        property_settings(examples * EFFORT), derandomize=EFFORT == 1, suppress_health_check=health, print_blob=EFFORT > 1
    )


# The rows of tmux

SOCKET = "/tmp/tmux-7/s"
SERVER = "E\t77\t1000\t3.3a\t1100"
HUGE = "9" * 5000
"""More digits than Python makes a number of."""

pieces = (
    st.sampled_from(["$1", "$2", "$01", "%1", "@1", "77", "1000", "3.3a", "0", "1", "@1=1=0/", "-1", "\uff11", ""])
    | st.sampled_from(["\t", "\n", "S\t", "E\t", "P\t", HUGE, f"${HUGE}", f"{HUGE}.{HUGE}"])
    | st.sampled_from(["\x1b]52;c;eA==\x07", "\0", "\u2028", "\x85", "\udcff"])
)
garbage = st.lists(pieces | st.text(max_size=4), max_size=25).map("".join)
raw = st.binary(max_size=200).map(lambda data: data.decode("utf-8", "surrogateescape"))

times, flags = st.integers(1, 10**12), st.booleans()
names = st.text(st.characters(exclude_characters="\t\n"), min_size=1, max_size=12) | st.just("\x1b]0;x\x07\x85")
windows = st.lists(st.tuples(st.integers(0, 10**9), times, flags), min_size=1, max_size=3)


@st.composite
def session_rows(draw: st.DrawFn, number: int = 1) -> tuple[str, str]:
    """A session's row as tmux prints it, and one of a pane of it."""
    values = [
        f"${number}",
        "77",
        "1000",
        draw(times),
        draw(times),
        draw(st.none() | times) or "",
        draw(st.integers(0, 99)),
        *(int(draw(flags)) for _ in range(5)),
        "3.3a",
        "".join(f"@{window}={moved}={int(linked)}/" for window, moved, linked in draw(windows)),
        draw(st.sampled_from(["-", "=", "0ab", "a..c"])),
        draw(st.sampled_from(["-", "7731", "7.31"])),
        int(draw(flags)),
        draw(names),
    ]
    pane = [f"${number}", f"%{number}", f"@{number}", draw(times), 0, ""]
    return "\t".join(map(str, ["S", *values])), "\t".join(map(str, ["P", *pane]))


def written(session: Session) -> str:
    """The row that says this."""
    values = [
        session.key.session_id,
        session.key.server_pid,
        session.key.server_start,
        session.key.created,
        session.activity,
        session.last_attached or "",
        session.attached,
        int(session.has_client),
        int(session.group_has_client),
        int(session.grouped),
        int(session.kept),
        int(session.all_panes_dead),
        session.version,
        "".join(f"{one.window_id}={one.activity}={int(one.linked)}/" for one in session.windows),
        "=" if session.owner is Owner.OURS else session.owner_id or "-",
        session.workspace_mark or "-",
        int(session.is_self_marked),
        session.name,
    ]
    return "\t".join(map(str, ["S", *values]))


def read(text: str, *, panes: bool = True) -> Listing | Unknown:
    return ListingReader(SOCKET).read(text, "0a", panes=panes)


def believed(answer: Listing, text: str) -> None:
    """All of it stands in the text, each session once, and may enter a command."""
    assert {written(session) for session in answer.sessions} <= set(text.split("\n"))
    ids = [session.key.session_id for session in answer.sessions]
    assert len(ids) == len(set(ids))
    range_filter(ids or ["$1"])


@fuzz(40)
@given(st.lists(st.integers(1, 5), unique=True, max_size=4).flatmap(lambda ids: st.tuples(*map(session_rows, ids))))
def test_every_row_that_tmux_may_print_is_read_as_it_is(rows: tuple[tuple[str, str], ...]) -> None:
    answer = read("\n".join([*(row for row, _ in rows), SERVER, *(pane for _, pane in rows), ""]))
    assert isinstance(answer, Listing)
    assert answer.unreadable == ()
    assert [written(session) for session in answer.sessions] == [row for row, _ in rows]


@fuzz(60)
@given(garbage | raw | st.text(), flags)
@example(f"E\t77\t1000\t{HUGE}.1\t1100\n", False)
@example(f"S\t${HUGE}\t77\t1000\t1\t1\t\t0\t0\t0\t0\t0\t0\t3.3a\t@1=1=0/\t0\t0\tx\n{SERVER}\n", False)
def test_no_text_makes_a_session_that_does_not_stand_in_it(text: str, panes: bool) -> None:
    answer = read(text, panes=panes)
    if isinstance(answer, Listing):
        believed(answer, text)


@fuzz(60)
@given(session_rows(1), session_rows(2), st.data())
def test_a_garbled_answer_is_not_believed_or_says_what_stands_in_it(
    one: tuple[str, str], two: tuple[str, str], data: st.DataObject
) -> None:
    text = "\n".join([one[0], two[0], SERVER, one[1], two[1], ""])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    garbled = text[:start] + data.draw(garbage) + text[end:]
    answer = read(garbled)
    if isinstance(answer, Listing):
        believed(answer, garbled)


@fuzz(60)
@given(garbage | raw | st.text())
@example(f"tmux {HUGE}.{HUGE}")
@example(f"abcd,{HUGE}x1,0,0,1")
@example('{"L":{"w":1e999,"h":1}}')
@example("[" * 100_000)
def test_the_other_answers_of_tmux(text: str) -> None:
    key = SessionKey(SOCKET, 77, 1000, "$1", 1001)
    assert all(isinstance(answer, KillResult) for answer in read_answers(text, Expiry(1100)).values())
    assert read_kept(text, key) in (None, True, False)
    read_layout(text)
    parse_version(text)
    is_old(text)
    with suppress(BadRows):
        assert all(row.pane_id.startswith("%") for row in read_rows(text.encode("utf-8", "replace"), key, "7a"))


@fuzz(60)
@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([f"\x1b[{HUGE}m".encode(), b"\x1b[38;5", b"\x1b]52;c;eA==\x07"])), flags
)
def test_the_content_of_panes_acts_on_no_terminal(lines: list[bytes], colours: bool) -> None:
    for line in readable_lines(lines, colours=colours):
        without = re.sub(r"\x1b\[[0-9;:]*m", "", line) if colours else line
        assert all(char == "\t" or char >= " " for char in without)
        assert not any("\x7f" <= char <= "\x9f" for char in without)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[TmuxServer, str]]:
    with TmuxServer() as made:
        yield made, made.new_session("first")


@fuzz(5)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
@example("\x1b]0;title\x07\x1b[2J")
@example("#(touch x)#{pid}")
@example("$(touch x);`touch x`'\"\\")
@example("a\tb\nc\rd\x85e\u2028f\u202eg")
@example("\udcff\udc80")
def test_a_session_may_have_any_name_that_tmux_takes(server: tuple[TmuxServer, str], name: str) -> None:
    made, session_id = server
    made.run("rename-session", "-t", f"{session_id}:", "--", name.replace("#", "##"), check=False)
    answer = TmuxTerminal(made.path).observe("0")
    assert isinstance(answer, Listing)
    [found] = [*(one.name for one in answer.sessions), *(one.session for one in answer.unreadable)]
    assert found == made.show(session_id, "#{session_name}")
    assert printable(found or "").isprintable()


# The configuration

plain = st.recursive(
    flags
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(
        ["48h", "~", "/", "../..", "(?P<id>", "(?P<id>.*)*", "sqlite:///x", "file:x", "standard", "cao", "table"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "id", "id_type", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    return repr(value)


def used(work: Callable[[], Settings], *places: str) -> None:
    """Whatever is in it, the settings can be used, or an error names the place."""
    found = taken(work)
    if isinstance(found, str):
        assert any(place in found for place in places)
        assert found.isprintable()
        return
    with suppress(ConfigurationError):  # a name of a registry, or a URL, of which there is nothing
        Reaper(found, {}).close()


def taken(work: Callable[[], Settings]) -> Settings | str:
    try:
        return work()
    except ConfigurationError as error:
        return str(error)


@pytest.mark.parametrize("field", list(Settings.model_fields))
@fuzz(4)
@given(value=plain)
def test_any_value_of_a_field_is_taken_or_refused_by_the_field_s_name(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(f"{field} = {toml(value)}\n", encoding="utf-8")
    # A table that is described, or named, wants others beside it.
    used(lambda: load_settings(file, {}), field, "table")


@fuzz(60)
@given(st.sampled_from(list(Settings.model_fields)), st.text(max_size=12) | plain.map(str) | garbage)
def test_any_variable_of_the_environment(field: str, text: str) -> None:
    variable = f"WORKSPACE_REAPER_{field.upper()}"
    used(lambda: load_settings(None, {variable: text}), field, "table")


@fuzz(60)
@given(st.binary(max_size=60) | plain.map(lambda value: toml(value).encode()) | st.just(b"a = " + b"[" * 5000))
@example(b'"\\n\\u001b[31m" = 1')
def test_a_file_may_hold_anything(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "anything.toml"
    file.write_bytes(content)
    used(lambda: load_settings(file, {}), str(file))


# The ledger, read back

KEY = SessionKey("/s", 1, 2, "$3", 4)


def columns_of_tables() -> dict[str, list[str]]:
    """The columns of each table that the migrations make."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "here")
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: [row[1] for row in raw.execute(f"PRAGMA table_info({table})")] for table in tables}


TABLES = columns_of_tables()
columns = st.sampled_from([(table, column) for table, own in TABLES.items() for column in own])
deep = st.sampled_from(
    ["[" * 100_000, '{"a":' * 100_000, "[NaN]", "[Infinity]", f"[{HUGE}]", "[[]]", "{}", "[]", "null", "1e999"]
)
stored = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.binary(max_size=8)
    | plain.map(json.dumps)
    | deep
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a row in each table, of a reaper whose socket nobody listens on."""
    state = tmp_path_factory.mktemp("kept") / "state"
    host = StandardHost(state.parent / "host.sqlite")
    host.create()
    host.insert(["a"])
    reaper = reaper_on(state, host.path)
    with reaper.writing() as ledger:
        fill(ledger)
    assert not reaper.sweep(SweepRequest()).unknown
    reaper.close()
    with closing(sqlite3.connect(state / "ledger.sqlite")) as raw, raw:
        raw.execute("INSERT INTO deletion SELECT id, 'b', 1.0 FROM registry")
        raw.execute("INSERT INTO removal SELECT id, 'b', 'removed', 1, 1.0 FROM registry")
        raw.execute(
            "INSERT INTO directory (registry_id, workspace_id, generation, path, resolved, inode, parent, is_below_mount,"
            " neighbours, seen_at, created, number, counted) SELECT id, 'b', 1, '/b', '/b', '1:2', '1:1', 0, '[]', 1.0, 1, 1, 0"
            " FROM registry"
        )
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        empty = [table for table in TABLES if not raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0]]
    assert empty == []
    return state.parent


def reaper_on(state: Path, database: Path) -> Reaper:
    settings = Settings(
        registry="standard", database_url=str(database), tmux_sockets=(str(state.parent / "no-socket"),), state_dir=state
    )
    return Reaper(settings, {})


def fill(ledger: SqliteLedger) -> None:
    reap = "01ARZ3NDEKTSV4RRFFQ69G5FA"
    process = RecordedProcess(ProcessKey(1, 2.0), "sh", "%1", True)
    evidence = {"idle_seconds": 5, "row": {"archived": True}}
    intents = [
        Intent(f"{reap}{last}", "01S", NOW, KEY, "ws-a", "a", "orphan", evidence, "boot", "/w", (process,)) for last in "VW"
    ]
    cleanup = ProcessCleanup(
        (EndedProcess(1, "sh", "HUP"),), (SurvivingProcess(2, "x", "it serves others"),), 5, ("tcp 1",), ("tcp 2",)
    )
    ledger.record_intents(intents)
    ledger.record_results([ReapResult(f"{reap}V", NOW, "reaped", None, cleanup, None)])
    ledger.save(
        StateChanges(
            seen=frozenset({"a"}),
            confirmations={(KEY, Finding.ANNOUNCED): Confirmation(NOW, NOW)},
            servers={"/s": ServerState(1, 2, 3.0)},
            breaker=BreakerState(latched=True, since=NOW, cause="c", tripped=frozenset({KEY}), approved=frozenset({KEY})),
            alarms={"breaker": Alarm("breaker", NOW, "d", "c")},
            events=(Event(NOW, "kind", "detail"),),
            cpu=CpuState(NOW, {KEY: CpuSample(1.0, NOW)}),
            worktrees={"a": "/w"},
        )
    )


@fuzz(12)
@given(columns, stored)
@example(("registry", "owner_id"), "no owner id")
@example(("reap", "at"), "yesterday")
@example(("reap", "evidence"), "[" * 100_000)
@example(("report", "head"), '{"at":0,"totals":{},"registry":{}}')
@example(("event", "at"), float("inf"))
@example(("report", "head"), 2**62)
@example(("finding", "first_at"), "yesterday")
@example(("finding", "first_at"), float("inf"))
@example(("registry", "total"), "many")
@example(("report", "sessions"), '{"at":0,"sessions":[{"evidence":{"idle_seconds":"x"}}]}')
def test_a_ledger_with_any_value_in_any_column_is_understood_or_refused(
    kept: Path, column: tuple[str, str], value: object
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        state = Path(shutil.copytree(kept, directory, dirs_exist_ok=True)) / "state"
        with closing(sqlite3.connect(state / "ledger.sqlite")) as raw:
            raw.execute("PRAGMA ignore_check_constraints = 1")
            try:
                with raw:
                    raw.execute(f"UPDATE {column[0]} SET {column[1]} = ?", (value,))
            except sqlite3.IntegrityError:
                assume(False)
        # The one that the database knows it by, so that it is the same registry.
        reaper = reaper_on(state, kept / "host.sqlite")
        for look in (look_at_status, look_at_history, look_at_events):
            with suppress(LedgerError):
                look(reaper)
        report = reaper.sweep(SweepRequest())
        json.loads(report.to_json())
        reaper.close()


def look_at_status(reaper: Reaper) -> None:
    found = read_status(reaper)
    json.dumps(found.as_dict())
    shown(lambda: show_status(found))


def look_at_history(reaper: Reaper) -> None:
    reaps = read_history(reaper, 10)
    for one in reaps:
        json.dumps(reap_as_json(one, restorable=False))
    shown(lambda: show_history([(None, one, False) for one in reaps]))


def look_at_events(reaper: Reaper) -> None:
    with reaper.reading() as ledger:
        assert all(isinstance(event.detail, str) for event in ledger.events(10))


def shown(work: Callable[[], object]) -> None:
    """What it prints, which acts on no terminal."""
    with redirect_stdout(io.StringIO()) as out:
        work()
    assert all(line.isprintable() for line in out.getvalue().split("\n"))


# The command line

paths = (
    st.binary(min_size=1, max_size=12).filter(lambda data: b"\0" not in data).map(os.fsdecode)
    | st.sampled_from(
        ["", ".", "..", "../../x", "/", "//", "~", "~nobody-here", "-", "--", "%", "$3", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]
    )
    | st.sampled_from(["/dev/null", "/dev/zero", "/proc/self/mem", "/nowhere/x", "a" * 300, "a" * 5000, "a/" * 2500])
    | st.sampled_from(["\n", "\x1b[31m", "é🦊", "\udcff"])
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "--config": ("--config", "{}", "status"),
    "--config doctor": ("--config", "{}", "history"),
    "show": ("show", "--", "{}"),
    "restore": ("restore", "--", "{}"),
    "explain": ("explain", "--", "{}"),
    "--socket": ("explain", "--socket", "{}", "x"),
    "keep --socket": ("keep", "--socket", "{}", "x"),
    "init --output": ("init", "--write", "--output", "{}"),
    "init --config": ("--config", "{}", "init", "--write"),
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a place to be in that is deep inside it."""
    inside = tmp_path / "a" / "b" / "c"
    inside.mkdir(parents=True)
    for name in list(os.environ):
        if name.startswith(("XDG_", "WORKSPACE_", "TMUX", "BC_", "CAO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.chdir(inside)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@fuzz(4)
@given(text=paths)
@example(text="../../x")
@example(text="\x1b]0;x\x07")
def test_a_path_on_the_command_line_is_used_or_refused(
    machine: Path, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    if "init" in command:
        there = os.path.normpath(Path.cwd() / expand_user(text))
        assume(there.startswith(f"{machine}/"))
    config = machine / "own.toml"
    config.write_text(f'registry = "standard"\ntmux_sockets = ["{machine}/s"]\nstate_dir = "{machine}/state"\n')
    config.chmod(0o600)
    before = [] if "--config" in command or "init" in command else ["--config", str(config)]
    words = ["workspace-reaper", *before, *(word.replace("{}", text) for word in COMMANDS[command])]
    plugin, out, err, code = ReaperPlugin(), io.StringIO(), io.StringIO(), 0
    with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("WORKSPACE_REAPER_CONFIG", str(config))
        patch.setattr(workspace_reaper, "plugin", plugin)
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", io.StringIO())
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    plugin.close()
    told = out.getvalue() + err.getvalue()
    assert code in (0, 1, 2, 3)
    assert code or "init" in command or "--config" in command, "there is nothing that it could name"
    assert "Traceback" not in told
    assert all(line.isprintable() for line in told.split("\n"))
