"""A URL that is not what it seems to be is refused, and no part of it is repeated."""

from __future__ import annotations

import pytest

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry import load_schema, open_registry

ODD = {
    "an unescaped @": "postgresql://user:s3cr@et@host/db",
    "an unescaped @ and a port": "postgresql://user:s3cr@et@host:5432/db",
    "an unescaped /": "postgresql://user:s3cr/et@host/db",
    "an unescaped ?": "postgresql://user:s3cr?et@host/db",
    "a port that is no number": "postgresql://user@host:s3cret/db",
    "a second colon": "postgresql://user@host:5432:s3cret/db",
    "no @": "postgresql://user:s3cret/db",
    "a lost colon": "postgresql//user:s3cret@host/db",
    "a lost slash": "postgresql:/user:s3cret@host/db",
    "both slashes lost": "postgresql:user:s3cret@host/db",
    "a lost scheme": "user:s3cret@host/db",
    "another scheme": "mysql://user:s3cret@host/db",
    "a space in front": " postgresql://user:s3cret@host/db",
    "upper case": "POSTGRESQL://user:s3cret@host/db",
    "a password in the path": "postgresql://host/user:s3cret@db",
    "the form of libpq": "host=db user=me password=s3cret",
    "the form of libpq in other quotes": "'host=db' 'user=me' 'password'='s3cret'",
    "JSON": '{"host": "db", "password": "s3cret"}',
    "a prefix": "jdbc:postgresql://host/db?user=me&password=s3cret",
    "a variable": "DATABASE_URL=postgresql://host/db?password=s3cret",
    "no scheme": "//host/db?password=s3cret",
    "all escaped": "postgresql%3A%2F%2Fuser%3As3cret%40host/db",
    "a server as a file": "sqlite:///postgresql://user:s3cret@host/db",
    "& for ?": "postgresql://host/db&password=s3cret",
    "; for ?": "postgresql://host/db;pwd=s3cret",
    "an escaped ?": "postgresql://host/db%3Fpassword=s3cret",
    "an escaped colon": "postgresql://user%3As3cret@host/db",
    "an escaped colon and no name": "postgresql://user%3As3cret@host",
    "a URL as the host": "postgresql:///db?host=user:s3cret@host",
}


@pytest.mark.parametrize("url", ODD.values(), ids=ODD.keys())
def test_i86_an_odd_url_is_refused_and_not_repeated(url: str) -> None:
    """Parts of a password are printed and written into the unit."""
    with pytest.raises(ConfigurationError) as refused:
        open_registry(load_schema("standard"), url, {})
    text = str(refused.value)
    assert text.startswith("database_url: ")
    for part in ("s3cr", "et@", "cret", "user:", "host/db"):
        assert part not in text.replace("user@host:5432/database", "").replace("postgresql://user@host/database", "")


GOOD = [
    "postgresql://user:s3cr%40et@host/db",
    "postgresql://user@host:5432/db",
    "postgresql://host/db",
    "postgresql:///db?host=/var/run/postgresql",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/db",
    "postgresql://[::1]:5432/db",
    "postgresql://one:5432,two:5433/db?target_session_attrs=primary",
    "postgresql://user@/db",
    "postgresql://user@host/password_store",
    "postgresql://user@host/R&D",
    "postgresql://us%3Aer:s3cret@host/db",
]


@pytest.mark.postgres
@pytest.mark.parametrize("url", GOOD)
def test_other_urls_are_taken_and_shown_without_a_password(url: str) -> None:
    location = open_registry(load_schema("standard"), url, {}).database.location
    assert location.startswith("postgresql://")
    assert "s3cr" not in location


@pytest.mark.parametrize(
    "path",
    [
        "/srv/a@b.sqlite",
        "/srv/a:b.sqlite",
        "/srv/My App/a=b.sqlite",
        "/srv/passwords/db.sqlite",
        "a=b.sqlite",
        "./x",
        "sqlite:////srv/user:x@host.sqlite",
        "sqlite:///a=b c.sqlite",
    ],
)
def test_paths_are_paths(path: str) -> None:
    assert open_registry(load_schema("standard"), path, {}).database.location.endswith(path.rpartition("/")[2])
