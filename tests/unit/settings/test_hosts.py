"""Several hosts in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.settings import load_settings

TWO = '[[hosts]]\nname = "a"\nregistry = "cao"\n[[hosts]]\nname = "b"\nregistry = "standard"\ndatabase_url = "/srv/b.sqlite"\n'


def config(tmp: Path, text: str) -> Path:
    file = tmp / "reaper.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def refused(tmp: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as found:
        load_settings(config(tmp, text), environ)
    return str(found.value)


def test_each_host_has_its_own_and_what_is_common(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, f'tick = "9s"\nstate_dir = "{tmp_path}"\n{TWO}'), {})
    assert settings.configured
    by_host = settings.by_host()
    assert {name: (one.registry, one.database_url, one.tick) for name, one in by_host.items()} == {
        "a": ("cao", None, 9.0),
        "b": ("standard", "/srv/b.sqlite", 9.0),
    }
    assert all(one.configured and one.state_dir == tmp_path and one.hosts is None for one in by_host.values())


def test_a_single_host_has_no_name(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, 'registry = "cao"\n'), {})
    assert settings.by_host() == {None: settings}


def test_they_may_come_from_the_environment(tmp_path: Path) -> None:
    settings = load_settings(config(tmp_path, ""), {"WORKSPACE_REAPER_HOSTS": '[{"name": "a", "registry": "cao"}]'})
    assert list(settings.by_host()) == ["a"]


def test_both_forms_together_are_refused_with_the_names_of_the_fields(tmp_path: Path) -> None:
    text = refused(tmp_path, f'registry = "cao"\n{TWO}', WORKSPACE_REAPER_DATABASE_URL="/srv/c.sqlite")
    assert "registry (" in text
    assert "database_url (WORKSPACE_REAPER_DATABASE_URL): set together with [[hosts]]" in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[hosts]]\nregistry = "cao"\n', "hosts[1].name"),
        ('[[hosts]]\nname = "a b"\n', "hosts[1].name"),
        (TWO.replace('"b"', '"A"'), "two hosts have the name 'a'"),
        ("hosts = []\n", "an empty list would serve nothing"),
        ('[[hosts]]\nname = "a"\nregistri = "cao"\n', "did you mean registry?"),
        ('[[hosts]]\nname = "a"\ntick = 5\n', "move it out of [[hosts]]"),
        ('[[hosts]]\nname = "a"\nsession_patterns = ["x"]\n', "has no group 'id'"),
        ('[[hosts]]\nname = "a"\nregistry = "table"\n', "hosts, a: registry"),
        ('[[hosts]]\nname = "a"\n[hosts.table]\nname = "t"\nid = "id"\nid_type = "text"\n', "hosts, a: table"),
    ],
)
def test_a_wrong_host_is_refused_with_the_name_of_the_field(tmp_path: Path, text: str, why: str) -> None:
    assert why in refused(tmp_path, text)


@pytest.mark.parametrize(
    "own",
    [
        'database_url = 5\npassword = "s3cret"',
        'registry = "postgresql://u:s3cret@db/x"',
        'tmux_sockets = ["postgresql://u:s3cret@db/x"]',
    ],
)
def test_no_message_shows_a_password(tmp_path: Path, own: str) -> None:
    assert "s3cret" not in refused(tmp_path, f'[[hosts]]\nname = "a"\n{own}\n')


def test_no_text_of_the_settings_shows_a_password(tmp_path: Path) -> None:
    text = '[[hosts]]\nname = "a"\ndatabase_url = "postgresql://u:s3cret@db/x"\n'
    settings = load_settings(config(tmp_path, text), {})
    assert "s3cret" not in repr(settings) + repr(settings.hosts) + repr(settings.by_host())
