"""The unit for systemd and the property list for launchd: exactly what they are, and that they are taken for what they say."""

from __future__ import annotations

import io
import os
import plistlib
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from workspace_reaper.cli import main
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.setup.service import NAME, Program, property_list, unit

GOLDEN = Path(__file__).parent / "golden"

PLAIN = Program("/usr/bin/workspace-reaper")
ODD = Program(
    command="/srv/100% re'aper/bin/workspace-reaper",
    config=Path('/home/me/a "b" \\ $c <&> --> é/reaper.toml'),
    tmux_directory="/opt/homebrew/bin",
    environ={
        "AWS_SECRET_ACCESS_KEY": "n3ver",
        "BC_API_TOKEN": "n3ver",
        "BC_DATA_DIR": "/srv/50% of $HOME",
        "TMUX_TMPDIR": "/run/a b",
        "WORKSPACE_REAPER_CONFIG": "/n3ver/as/it/was/given",
        "WORKSPACE_REAPER_DATABASE_URL": "postgresql://me:s3cret@localhost/host",
        "WORKSPACE_REAPER_TMUX_SOCKETS": '["a", "b"]',
        "XDG_SESSION_ID": "3",
        "XDG_STATE_HOME": "/var/my\\state",
    },
)
PROGRAMS = {"plain": PLAIN, "odd": ODD}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_unit_is_the_golden_one(name: str) -> None:
    assert unit(PROGRAMS[name]) == (GOLDEN / f"{name}.service").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_property_list_is_the_golden_one(name: str) -> None:
    told = property_list(PROGRAMS[name], Path("/Users/me"))
    assert told == (GOLDEN / f"{name}.plist").read_text(encoding="utf-8")


def test_no_secret_is_in_either() -> None:
    for text in (unit(ODD), property_list(ODD, Path("/Users/me")), repr(ODD)):
        assert "s3cret" not in text
        assert "n3ver" not in text


def test_launchd_reads_back_what_was_meant() -> None:
    read = plistlib.loads(property_list(ODD, Path("/Users/me")).encode())
    assert read["ProgramArguments"] == [ODD.command, "--config", str(ODD.config), "run"]
    assert read["EnvironmentVariables"] == {
        "LC_ALL": "en_US.UTF-8",
        "PATH": "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin",
        "BC_DATA_DIR": "/srv/50% of $HOME",
        "TMUX_TMPDIR": "/run/a b",
        "WORKSPACE_REAPER_TMUX_SOCKETS": '["a", "b"]',
        "XDG_STATE_HOME": "/var/my\\state",
    }
    assert read["AbandonProcessGroup"] is True
    assert read["KeepAlive"] == {"SuccessfulExit": False}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("directory", ["bin", "100%h $HOME é", '"re\'aper"'])
def test_systemd_finds_nothing_wrong(tmp_path: Path, directory: str) -> None:
    """It looks for the command, too, and so reads back its path."""
    place = tmp_path / directory
    place.mkdir()
    command = place / "workspace-reaper"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    file = tmp_path / f"{NAME}.service"
    file.write_text(unit(Program(str(command), ODD.config, environ=ODD.environ)), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_started_again_whatever_it_failed_of() -> None:
    """The database of a server that has not run yet is a configuration error, and not for ever."""
    lines = [line for line in unit(PLAIN).splitlines() if line.startswith(("Restart", "StartLimit"))]
    assert lines == ["StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=10"]


def test_i66_the_unit_and_its_end_meet_no_tmux_server() -> None:
    """Runs died at a logout, with their cgroup: no limit of this unit, and no end of it, may meet a tmux server."""
    lines = [line for line in unit(PLAIN).splitlines() if not line.startswith("#")]
    assert "KillMode=process" in lines
    hidden = ("PrivateTmp", "ProtectHome", "ProtectSystem", "ProtectProc", "PrivateUsers", "PrivatePIDs", "Delegate")
    assert not [line for line in lines if line.startswith(hidden)]


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [
        ("postgresql://me:pw@localhost/host", True),
        ("postgresql://me:p/w@localhost/host", True),
        ("postgresql+psycopg://me:p%40w@localhost/host", True),
        ("postgresql:///host?user=me&password=pw", True),
        ("postgresql://me@localhost:5432/host", False),
        ("postgresql:///host", False),
        ("sqlite:////srv/a:b@c/password.sqlite", False),
        ("/srv/a:b@c/host.sqlite", True),
        ("/srv/a:b/host.sqlite", False),
        ("srv/host.sqlite", False),
    ],
)
def test_a_password_is_left_out(url: str, is_secret: bool) -> None:
    program = Program("/usr/bin/workspace-reaper", environ={"WORKSPACE_REAPER_DATABASE_URL": url})
    for text in (unit(program), property_list(program, Path("/Users/me"))):
        assert ("is set, and may contain a password" in text) is is_secret
    assert (program.variables.get("WORKSPACE_REAPER_DATABASE_URL") == url) is not is_secret


def test_a_configuration_that_the_environment_names_is_named_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = Program("/usr/bin/workspace-reaper", environ={"WORKSPACE_REAPER_CONFIG": "my.toml"})
    assert program.variables["WORKSPACE_REAPER_CONFIG"] == str(tmp_path / "my.toml")


@pytest.mark.parametrize("value", ["two\nlines", "\x1b", "\udcff"])
def test_what_no_service_manager_reads_is_named(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TMUX_TMPDIR: .* has a control character"):
        Program("/usr/bin/workspace-reaper", environ={"TMUX_TMPDIR": value})
    with pytest.raises(ConfigurationError, match="the command line: "):
        Program("/usr/bin/workspace-reaper", Path(f"/{value}"))


@pytest.mark.parametrize("called", ["by its path", "otherwise"])
@pytest.mark.parametrize("manager", ["systemd", "launchd"])
def test_the_command_prints_it(manager: str, called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "workspace-reaper"
    command.write_text("")
    name = str(command) if called == "by its path" else "-c"
    monkeypatch.setattr(sys, "argv", [name, "--config", "my.toml", "service", manager])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMUX_TMPDIR", "/run/mine")
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")  # as with LC_ALL=C
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main()
    text = raw.getvalue().decode()
    assert ended.value.code in {0, None}
    assert "/run/mine" in text
    assert str(tmp_path / "my.toml") in text
    installed = Path(sys.executable).parent / "workspace-reaper"
    assert str(command if called == "by its path" else installed) in text


def test_an_installation_without_its_command_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sysconfig

    monkeypatch.setattr(sys, "argv", ["-c", "service", "systemd"])
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "call it by its absolute path" in capsys.readouterr().err
