"""What a pane's environment holds, and a password of a database, are in no file, log or JSON of
ours; and our files are private."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout, suppress
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.tools.cast import Cast
from tests.tools.command_line import CommandLine
from tests.tools.world import World, outcomes
from workspace_reaper.cli import main
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.settings import load_settings, load_usable_settings
from workspace_reaper.setup.service import Program, property_list, unit

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

SECRET = "wr-s3cr3t-8f1c"  # no secret of anybody
FOREVER = "exec sleep 100000"


def contents(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below, as it is, and what is compressed in it."""
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path, data
            if data.startswith(b"\x1f\x8b"):
                yield path, gzip.decompress(data)


def test_i63_a_secret_in_an_environment_is_nowhere(
    worlds: Worlds, cast: Cast, worktree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = worlds(kill_grace=0.5)
    # The first client's arguments stay the server's.
    world.server.new_session("beside")
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.server.run("set-environment", "-g", "TOKEN", SECRET)
    own = f"WORD={SECRET}; export WORD; unset TOKEN"  # the escaped one has another one
    cast.say("words", f"{own}\n")
    escaping = f". {cast.directory}/words; {cast.escaping('ours')}; cd /; {cast.escaping('left')}"
    session_id = world.session(archived, command=f"cd {worktree}; {escaping}; echo shown; {FOREVER}")
    world.server.run("set-environment", "-t", f"{session_id}:", "PASSWORD", SECRET)
    world.server.run("split-window", "-d", "-t", f"{session_id}:", "exec sleep 100000")
    ours, left = cast.escaped("ours"), cast.escaped("left")
    assert {ours.environ()["WORD"], left.environ()["WORD"]} == {SECRET}

    with caplog.at_level(logging.DEBUG):
        report = world.sweep()
    assert outcomes(report) == {archived: "reaped"}
    reap_id = world.entry(report, archived).reap_id
    assert reap_id is not None
    assert cast.lives(left)
    told = [
        report.to_json(),
        repr(report),
        caplog.text,
        *(repr(record.__dict__) for record in caplog.records),
        *(json.dumps(world.cli_json(*words)) for words in (["history"], ["status"], ["show", reap_id])),
        *(world.cli(*words).stdout for words in (["history"], ["status"], ["show", reap_id], ["show", "--full", reap_id])),
    ]
    assert "shown" in told[-1]
    assert not [text for text in told if SECRET in text]
    files = dict(contents(world.state_dir))
    assert any(b"shown" in data for data in files.values()), "the snapshot was looked through"
    assert not [path for path, data in contents(world.state_dir) if SECRET.encode() in data]


@pytest.mark.parametrize("way", ["in a host", "as a command"])
def test_i63_all_that_it_writes_is_private(world: World, way: str) -> None:
    world.server.new_session("beside")
    archived = world.workspace(archived=True)
    world.session(archived)
    before = os.umask(0)
    try:
        if way == "in a host":
            world.sweep()
        else:
            world.cli_json("sweep")
    finally:
        os.umask(before)
    assert not world.lives(archived)
    paths = [world.state_dir, *world.state_dir.rglob("*")]
    assert any(path.suffix == ".gz" for path in paths) or any("snapshots" in path.parts for path in paths)
    assert not {str(path): mode for path in paths if (mode := stat.S_IMODE(path.lstat().st_mode)) & 0o077}


# A password in the URL of the database

BEFORE, AFTER = "s3cr", "et9x"  # what a character that is not escaped takes apart
ODD = "@:/%#?"
SERVER = "127.0.0.1:1/host"  # nothing listens there
URLS = {
    **{f"a raw {odd}": f"postgresql://me:{BEFORE}{odd}{AFTER}@{SERVER}" for odd in ODD},
    **{f"an escaped {odd}": f"postgresql+psycopg://me:{BEFORE}%{ord(odd):02X}{AFTER}@{SERVER}" for odd in ODD},
    "a parameter": f"postgresql://me@127.0.0.1:1/host?password={BEFORE}{AFTER}",
    "a parameter and no name": f"postgresql://127.0.0.1:1?password={BEFORE}{AFTER}",
    "for a port": f"postgresql://me@127.0.0.1:{BEFORE}{AFTER}/host",
    "for a port, with another driver": f"postgresql+psycopg://me@127.0.0.1:1{BEFORE}{AFTER}/host",
    "a port that is no number": f"postgres://me:{BEFORE}{AFTER}@127.0.0.1:port/host",
    "a URL of SQLite": f"sqlite://me:{BEFORE}@{AFTER}@{SERVER}",
    "a URL of SQLite, with a lost slash": f"sqlite:/me:{BEFORE}{AFTER}@{SERVER}",
    "another driver": f"postgresql+psycopg2://me:{BEFORE}/{AFTER}@{SERVER}",
    "a lost scheme": f"me:{BEFORE}{AFTER}@{SERVER}",
    "a lost colon": f"postgresql//me:{BEFORE}{AFTER}@{SERVER}",
    "a lost host": f"postgresql:me:{BEFORE}{AFTER}",
    "the form of libpq": f"host=127.0.0.1 port=1 user=me password={BEFORE}{AFTER}",
    "the form of libpq without a name of ours": f"host=127.0.0.1 user=me key={BEFORE}{AFTER}",
    "a prefix": f"jdbc:postgresql://{SERVER}?user=me&password={BEFORE}{AFTER}",
    "a variable": f"DATABASE_URL=postgresql://{SERVER}?password={BEFORE}{AFTER}",
    "quotes in quotes": f"'postgresql://{SERVER}?password={BEFORE}{AFTER}'",
    "no scheme": f"//{SERVER}?password={BEFORE}{AFTER}",
    "all escaped": f"postgresql%3A%2F%2Fme%3A{BEFORE}{AFTER}%40{SERVER}",
    "a parameter of a file": f"sqlite:///host.sqlite?password={BEFORE}{AFTER}",
    "a server as a file": f"sqlite:///postgresql://me:{BEFORE}{AFTER}@{SERVER}",
    "& for ?": f"postgresql://{SERVER}&password={BEFORE}{AFTER}",
    "; for ?": f"postgresql://{SERVER};pwd={BEFORE}{AFTER}",
    "an escaped ?": f"postgresql://{SERVER}%3Fpassword={BEFORE}{AFTER}",
    "an escaped colon": f"postgresql://me%3A{BEFORE}{AFTER}@{SERVER}",
    "a server as a parameter": f"postgresql:///host?host=me:{BEFORE}{AFTER}@127.0.0.1&port=1",
}
COMMANDS = (
    ["doctor"],
    ["doctor", "--json"],
    ["status"],
    ["status", "--json"],
    ["status", "--check"],
    ["sweep", "--json"],
    ["sweep", "--dry-run"],
    ["explain", "vk_a"],
    ["adopt"],
    ["init"],
)


def assert_no_part_of_it(texts: Iterable[str]) -> None:
    assert not [text for text in texts if BEFORE in text or AFTER in text]


@pytest.fixture
def alone(world: World, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line that finds nothing of this machine's user."""
    for name in ("HOME", "TMUX_TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(world.tmp))
    return CommandLine(world, monkeypatch)


@pytest.mark.parametrize(
    ("where", "url"),
    [
        *(pytest.param("in the environment", url, id=name) for name, url in URLS.items()),
        *(
            pytest.param("in the file", URLS[name], id=f"{name}, in the file")
            for name in ("a raw @", "an escaped @", "for a port")
        ),
    ],
)
def test_i86_no_command_prints_a_part_of_a_password(
    alone: CommandLine, where: str, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = alone.world
    if where == "in the file":
        world.settings["database_url"] = url
    else:
        monkeypatch.setenv("WORKSPACE_REAPER_DATABASE_URL", url)
    raw = io.BytesIO()
    with caplog.at_level(logging.DEBUG), redirect_stdout(io.TextIOWrapper(raw)) as out:
        done = [alone(*words) for words in COMMANDS]
        for manager in ("systemd", "launchd"):
            service = ["workspace-reaper", "service", manager]
            with monkeypatch.context() as patch, suppress(SystemExit):
                patch.setattr(sys, "argv", service)
                main()
        plugin = world.new_plugin()
        plugin.on_tick(datetime.now(timezone.utc))
        plugin.drain(30)
        out.flush()
    service_definitions = raw.getvalue().decode()
    assert "ExecStart=" in service_definitions
    assert "<plist" in service_definitions
    records = [logging.Formatter("%(message)s").format(record) + repr(record.__dict__) for record in caplog.records]
    assert records, "a host is told"
    told = [service_definitions, *records, *(text for one in done for text in (one.out, one.err))]
    assert_no_part_of_it(told)
    files = {str(path): data for path, data in contents(world.tmp) if path != world.config}
    assert not [path for path, data in files.items() if BEFORE.encode() in data or AFTER.encode() in data]


MISPLACED = ["registry", "tmux_sockets", "state_dir", "tick", "log_format"]


@pytest.mark.parametrize("name", MISPLACED)
@pytest.mark.parametrize("where", ["in the environment", "in the file"])
def test_i86_a_url_as_the_value_of_another_setting_is_not_repeated(
    alone: CommandLine, name: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://me:{BEFORE}{AFTER}@{SERVER}"
    if where == "in the file":
        alone.world.settings[name] = url
    else:
        monkeypatch.setenv(f"WORKSPACE_REAPER_{name.upper()}", url)
    done = alone("sweep")
    assert_no_part_of_it([done.out, done.err])
    assert done.code == 2
    assert f"{name} (" in done.err
    assert "a URL can only be the value of database_url" in done.err


QUOTED = {
    "a registry": f'registry = "me:{BEFORE}{AFTER}@host/db"',
    "a socket": f'tmux_sockets = ["me:{BEFORE}{AFTER}@host/db"]',
    "a table": f'table = "postgresql://me:{BEFORE}{AFTER}@host/db"',
    "a key of a table": f'table = {{"password={BEFORE}{AFTER}" = 1}}',
    "a word of a table": f'table = {{name = "t", id = "id", id_type = "postgresql://me:{BEFORE}{AFTER}@host/db"}}',
    "a pattern": f'session_patterns = ["postgresql://me:{BEFORE}{AFTER}@host/db"]',
    "a key": f'"postgresql://me:{BEFORE}{AFTER}@host/db" = 1',
}


@pytest.mark.parametrize("line", QUOTED.values(), ids=QUOTED)
def test_i86_a_message_about_another_setting_quotes_no_url(line: str, tmp_path: Path) -> None:
    file = tmp_path / "reaper.toml"
    file.write_text(line)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file, {})
    assert_no_part_of_it([*traceback.format_exception(refused.value), str(load_usable_settings(file, {}).problem)])
    assert str(file) in str(refused.value)


@pytest.mark.parametrize("name", ["TABLE", "SESSION_PATTERNS"])
def test_i86_a_variable_that_is_not_json_is_not_repeated(name: str) -> None:
    with pytest.raises(ConfigurationError, match="its value is not JSON") as refused:
        load_settings(environ={f"WORKSPACE_REAPER_{name}": f"postgresql://me:{BEFORE}{AFTER}@{SERVER}"})
    assert_no_part_of_it(traceback.format_exception(refused.value))


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_i86_the_traceback_of_an_error_has_no_part_of_a_password(url: str) -> None:
    try:
        found = open_registry(load_schema("standard"), url, {})
    except ConfigurationError as error:
        texts = traceback.format_exception(error)
    else:
        texts = [found.location, repr(found.database), repr(found.look_up(["a"], []))]
    assert_no_part_of_it(texts)


def test_i86_a_misspelt_variable_is_not_written_into_the_unit() -> None:
    url = f"postgresql://me:{BEFORE}{AFTER}@{SERVER}"
    program = Program("/usr/bin/workspace-reaper", environ={"WORKSPACE_REAPER_DATABASE_URI": url, "WORKSPACE_REAPER_TICK": "5"})
    for text in (unit(program), property_list(program, Path("/home/me"))):
        assert_no_part_of_it([text])
        assert "WORKSPACE_REAPER_TICK" in text
