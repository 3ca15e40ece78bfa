"""Discovery, the pure part: what the findings speak for, and the file for it; and how a file is saved."""

from __future__ import annotations

import re
import stat
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace_reaper.model.errors import ConfigurationError, ReaperError
from workspace_reaper.settings import Settings, describe_settings, load_settings
from workspace_reaper.setup import as_json, as_text, choose, configuration, next_steps, save
from workspace_reaper.setup.config_file import toml_text
from workspace_reaper.setup.discover import Database, InstalledRegistry, Machine, Socket

if sys.version_info >= (3, 11):
    import tomllib as toml
else:
    import tomli as toml

HEX = "0123456789abcdef" * 2
VK = InstalledRegistry(
    "vibe-kanban", {"/t/tmux-1/bettercoding": (r"bc_(?P<id>[0-9a-f]{32})",), "/t/tmux-1/vibe-kanban": (r"vk_(?P<id>.*)",)}
)
CAO = InstalledRegistry("cao", {"/t/tmux-1/default": ("(?P<id>cao-.+)",)})
STANDARD = InstalledRegistry("standard", {"/t/tmux-1/workspaces": ("ws-(?P<id>.*)",)})
REGISTRIES = (CAO, STANDARD, VK)


def database(registry: str, *, state: str = "there", path: str | None = None, known: int = 0, rows: int = 5) -> Database:
    return Database(registry, path or f"/data/{registry}.sqlite", state, "why not", rows, known_sessions=known)  # type: ignore[arg-type]


def sessions(kind: InstalledRegistry, *names: str) -> Socket:
    path = next(iter(kind.homes))
    return Socket(path, True, sessions=names, matching={kind.registry: names})


def machine(*parts: Database | Socket, registries: tuple[InstalledRegistry, ...] = REGISTRIES) -> Machine:
    return Machine(
        registries,
        tuple(part for part in parts if isinstance(part, Database)),
        tuple(part for part in parts if isinstance(part, Socket)),
    )


BC = sessions(VK, f"bc_{HEX}", "bc_two")
AGENTS = sessions(CAO, "cao-one")
ODD = '/da\\ta/"quoted" #1 ?%\n\x1b[31m\x7f\u2028é😀.sqlite'
UNDECODABLE = "/data/\udcff.sqlite"

MACHINES = {
    "nothing": (machine(), None),
    "no registry at all": (machine(registries=()), None),
    "absent": (machine(database("vibe-kanban", state="absent"), database("cao", state="absent")), None),
    "one, known": (machine(database("vibe-kanban", known=2), BC), "vibe-kanban"),
    "one, quiet": (machine(database("standard")), "standard"),
    "one that knows none of its sessions": (machine(database("vibe-kanban"), BC), None),
    "known goes before quiet": (machine(database("cao"), database("vibe-kanban", known=1), BC), "vibe-kanban"),
    "quiet goes before unknown": (machine(database("cao"), AGENTS, database("standard")), "standard"),
    "two that are known": (machine(database("cao", known=1), AGENTS, database("vibe-kanban", known=1), BC), None),
    "two that are quiet": (machine(database("cao"), database("standard")), None),
    "both homes": (
        machine(database("vibe-kanban", path="/new.sqlite", known=2), database("vibe-kanban", path="/old.sqlite", known=1), BC),
        "vibe-kanban",
    ),
    "a place that can't be read": (machine(database("vibe-kanban", state="unreadable")), None),
    "one behind a place that can't be read": (
        machine(database("vibe-kanban", state="unreadable", path="/new"), database("vibe-kanban", known=2, path="/old"), BC),
        None,
    ),
    "another beside a place that can't be read": (machine(database("vibe-kanban", state="unreadable"), database("cao")), "cao"),
    "odd characters": (machine(database("vibe-kanban", path=ODD, known=1), sessions(VK, "bc_\n#[x]\x1b", '"')), "vibe-kanban"),
    "odd characters beside it": (
        machine(database("vibe-kanban", known=1), database("vibe-kanban", path=ODD + UNDECODABLE, known=1), BC),
        "vibe-kanban",
    ),
    "no text": (machine(database("vibe-kanban", path=UNDECODABLE, known=1), BC), "vibe-kanban"),
    "a server": (
        machine(Database("standard", "postgresql://reaper@db/app", "there", workspaces=1, is_server=True)),
        "standard",
    ),
    "homes that hang on variables": (
        machine(
            database("vibe-kanban"),
            registries=(InstalledRegistry("vibe-kanban", {"/t/my so\\cket": ("x(?P<id>.*)",)}, everywhere=False),),
        ),
        "vibe-kanban",
    ),
    "a socket of nobody's": (machine(Socket("/t/other", True, sessions=("a", "b"), elsewhere={"cao": ("a",)})), None),
}


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Settings]:
    def load(text: str) -> Settings:
        file = tmp_path / "loaded.toml"
        file.write_text(text, encoding="utf-8")
        return load_settings(file, {})

    return load


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_chosen(name: str) -> None:
    found, expected = MACHINES[name]
    choice = choose(found)
    assert (None if choice.chosen is None else choice.chosen.database.registry) == expected
    assert choice.why.endswith((".", "?"))


@pytest.mark.parametrize("name", MACHINES)
def test_the_file_always_loads_and_reaps_nothing(name: str, load: Callable[[str], Settings]) -> None:
    found, expected = MACHINES[name]
    settings = load(configuration(found, choose(found)))
    assert not settings.enabled
    assert settings.configured is (expected is not None)
    assert settings.registry == (expected or "standard")


def test_what_was_chosen_stands_in_the_file(load: Callable[[str], Settings]) -> None:
    text = {name: configuration(found, choose(found)) for name, (found, _) in MACHINES.items()}
    settings = {name: load(written) for name, written in text.items()}
    assert settings["both homes"].database_url == "sqlite:////new.sqlite"
    assert "Also here: vibe-kanban, /old.sqlite" in text["both homes"]
    assert settings["odd characters"].database_url == "sqlite:///" + ODD
    assert settings["no text"].database_url is None
    assert "cannot be written to this file" in text["no text"]
    assert settings["a server"].database_url is None
    assert settings["homes that hang on variables"].tmux_sockets == ("/t/my so\\cket",)
    assert settings["one, known"].tmux_sockets is None
    assert '#tmux_sockets = ["/t/tmux-1/bettercoding", "/t/tmux-1/vibe-kanban"]' in text["one, known"]
    assert '#tmux_sockets = ["/t/other"]' in text["a socket of nobody's"]


def test_several_that_fit_are_all_shown_and_none_is_chosen() -> None:
    found, _ = MACHINES["two that are known"]
    lines = configuration(found, choose(found)).splitlines()
    assert "# Found here: cao and vibe-kanban fit equally well: choose one. Each requires its own reaper." in lines
    for line in ('#registry = "cao"', '#registry = "vibe-kanban"', '#database_url = "sqlite:////data/cao.sqlite"'):
        assert line in lines


def test_where_none_fits_there_are_the_standard_table_and_the_description_of_any_other() -> None:
    text = configuration(Machine(), choose(Machine()))
    assert '#registry = "standard"\n' in text
    assert "describe its own" in text
    assert "\n#[table]\n" in text


@pytest.mark.parametrize("setting", describe_settings(), ids=lambda setting: setting.name)
def test_every_setting_stands_in_the_file_with_its_meaning(setting) -> None:
    text = configuration(Machine(), choose(Machine()))
    in_one_line = " ".join(text.replace("\n# ", " ").split())
    assert f"{setting.description} ({setting.type}; default: {setting.default})" in in_one_line
    _, is_section, of_section = text.partition(f"#[{setting.name.partition('.')[0]}]\n")
    key = setting.name.rpartition(".")[2]
    assert is_section or re.search(rf"^#?{key} = ", text, re.MULTILINE)
    assert "." not in setting.name or re.search(rf"^#?{key} = ", of_section.partition("\n#[")[0], re.MULTILINE)


def test_the_defaults_that_are_commented_out_are_the_defaults(load: Callable[[str], Settings]) -> None:
    text, _, _ = configuration(Machine(), choose(Machine())).partition("#[table]")
    lines = [line for line in text.splitlines() if "..." not in line and not line.startswith(("#session_patterns", "enabled"))]
    settings = load("\n".join(re.sub(r"^#(?=\w+ = )", "", line) for line in lines))
    given = settings.model_fields_set - {"preset_dir"}
    assert given >= {"tick", "idle_ttl", "survivors", "snapshots", "snapshot_bytes", "registry", "log_format"}
    assert settings.model_dump(include=given) == Settings().model_dump(include=given)


def test_the_table_that_is_commented_out_can_be_filled_in(load: Callable[[str], Settings]) -> None:
    head, table, keys = configuration(Machine(), choose(Machine())).partition("#[table]")
    filled = {
        '#registry = "standard"': 'registry = "table"',
        '#database_url = "..."': 'database_url = "/x"',
        '#tmux_sockets = ["..."]': 'tmux_sockets = ["x"]',
        "#session_patterns": "session_patterns",
    }
    for old, new in filled.items():
        assert old in head
        head = head.replace(old, new)
    keys, _, files = keys.partition("#[files]")
    keys = re.sub(r"^#(?=\w+ = )", "", keys, flags=re.MULTILINE).replace('id_type = "..."', 'id_type = "uuid"')
    assert load(head + table[1:] + keys).registry == "table"
    head = head.replace('registry = "table"', 'registry = "files"').replace('database_url = "/x"', "")
    files = re.sub(r"^#(?=\w+ = )", "", files, flags=re.MULTILINE).replace('id_type = "..."', 'id_type = "uuid"')
    assert load(f"{head}[files]{files}".replace('items = "..."', 'items = "$.x"')).registry == "files"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_toml_reads_back_any_text(text: str) -> None:
    assert toml.loads(f"x = {toml_text(text)}") == {"x": text}


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\\udcff"):
        toml_text(UNDECODABLE)


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_told_can_be_printed(name: str) -> None:
    found, expected = MACHINES[name]
    choice = choose(found)
    lines = as_text(found, choice)
    assert all(line.isprintable() for line in lines)
    assert len(lines) >= 4
    facts = as_json(found, choice, Path("/etc/x.toml"), "text", written=False)
    assert (None if facts["chosen"] is None else facts["chosen"]["registry"]) == expected
    assert list(facts) == [
        *("databases", "sockets", "problems", "chosen", "others", "why", "file", "content", "written"),
    ]


def test_the_words_for_what_was_found() -> None:
    found = Machine(
        (*REGISTRIES, InstalledRegistry("broken", {}, problem="it cannot be loaded")),
        (
            database("cao", state="absent"),
            database("standard", state="unreadable"),
            Database("vibe-kanban", "/v", "there", workspaces=1000, capped=True, known_sessions=1),
            Database("vibe-kanban", "/w", "there", workspaces=1),
        ),
        (
            Socket("/t/silent", problem="it did not answer"),
            Socket("/t/stale"),
            Socket("/t/empty", True),
            Socket("/t/tmux-1/bettercoding", True, "one row is odd", ("bc_1", "x"), {"vibe-kanban": ("bc_1",)}),
            Socket("/t/other", True, None, ("cao-1",), {}, {"cao": ("cao-1",)}),
        ),
        ("a directory cannot be listed",),
    )
    assert as_text(found, choose(found)) == [
        "Databases:",
        "  cao: /data/cao.sqlite: does not exist",
        "  standard: /data/standard.sqlite: cannot be read: why not",
        "  vibe-kanban: /v: more than 999 workspaces, with 1 of its 1 sessions",
        "  vibe-kanban: /w: 1 workspace, with 0 of its 1 sessions",
        "tmux sockets:",
        "  /t/silent: cannot be read: it did not answer",
        "  /t/stale: no server is running",
        "  /t/empty: no session",
        "  /t/tmux-1/bettercoding: 2 sessions: 1 of vibe-kanban, such as bc_1; 1 others, such as x; one row is odd",
        "  /t/other: 1 session: 1 with names of cao, such as cao-1, which does not use this socket",
        "Could not be looked at: a directory cannot be listed",
        "Could not be looked at: broken: it cannot be loaded",
        "Result: vibe-kanban: its database was found, and has 1 of its 1 sessions.",
    ]


def test_the_next_steps_name_the_file_only_where_it_is_another_one() -> None:
    assert "2. workspace-reaper doctor" in next_steps(Path("/x"), is_default=True)
    assert "2. workspace-reaper --config '/my x' doctor" in next_steps(Path("/my x"), is_default=False)


TEXT = "enabled = false\n"


def names_in(directory: Path) -> list[str]:
    return sorted(place.name for place in directory.iterdir())


def test_a_file_is_saved_with_its_directory_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "c.toml"
    assert save(TEXT, file, force=False) is None
    assert file.read_text() == TEXT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names_in(file.parent) == ["c.toml"]
    assert file.stat().st_nlink == 1


def test_nothing_is_replaced_without_force(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    for make in (lambda: file.write_text("old"), lambda: (file.unlink(), file.symlink_to("nowhere"))):
        make()
        with pytest.raises(ConfigurationError, match="exists: add --force"):
            save(TEXT, file, force=False)
        assert names_in(tmp_path) == ["c.toml"]


def test_what_is_replaced_is_kept_each_time(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    assert save(TEXT, file, force=True) is None
    for number in range(3):
        file.write_text(f"enabled = {number}")
        kept = save(TEXT, file, force=True)
        assert kept is not None
        assert (kept.read_text(), file.read_text()) == (f"enabled = {number}", TEXT)
    assert names_in(tmp_path) == ["c.toml", "c.toml.old", "c.toml.old1", "c.toml.old2"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "real.toml", tmp_path / "c.toml"
    link.symlink_to(real)
    save(TEXT, link, force=True)
    assert (link.is_symlink(), real.read_text()) == (True, TEXT)


def test_of_many_that_write_at_once_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    texts = [f"tick = {number}\n" for number in range(1, 9)]
    together = threading.Barrier(len(texts))

    def won(text: str) -> bool:
        together.wait(20)
        try:
            save(text, file, force=False)
        except ConfigurationError:
            return False
        return True

    with ThreadPoolExecutor(len(texts)) as pool:
        results = list(pool.map(won, texts))
    assert results.count(True) == 1
    assert file.read_text() == texts[results.index(True)]
    assert names_in(tmp_path) == ["c.toml"]


def test_a_file_that_would_not_load_is_never_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        save("nonsense = 1\n", tmp_path / "c.toml", force=False)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_what_can_not_be_written_is_said(tmp_path: Path, force: bool) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(ReaperError, match="cannot be written"):
        save(TEXT, tmp_path / "plain" / "c.toml", force=force)
    if force:
        with pytest.raises(ReaperError, match="cannot be written"):
            save(TEXT, tmp_path, force=True)
    assert names_in(tmp_path) == ["plain"]
