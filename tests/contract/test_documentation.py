"""What the documentation says: settings, links, commands, and a docstring for each public name."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import workspace_hookspecs
import workspace_reaper
from tests.tools import doc_tables
from tests.tools.ci import RUNS
from tests.tools.preset_pages import page_of, rendered_page
from workspace_reaper.model import machine_ports, ports
from workspace_reaper.processes.reader import Reader
from workspace_reaper.registry import preset_names

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("hookspecs/*.md"), *ROOT.glob("docs/**/*.md")])
TEST_COMMAND = "pipx run tox"
ITS_SERVER = {"workspace_reaper.hosts.cao": "cli_agent_orchestrator"}
"""Modules that are a plugin of a server, which need it to be imported."""


def prose(text: str) -> str:
    """Without what stands in code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^()\s]+)\)", prose(page.read_text(encoding="utf-8"))):
            if not target.startswith(("http://", "https://", "mailto:")):
                yield page, target


def modules() -> Iterator[str]:
    for package in (workspace_hookspecs, workspace_reaper):
        (root,) = map(Path, package.__path__)
        for file in root.rglob("*.py"):
            if file.name != "__main__.py":
                parts = file.relative_to(root.parent).with_suffix("").parts
                yield ".".join(parts[:-1] if file.name == "__init__.py" else parts)


PORTS = [
    *(
        port
        for module in (ports, machine_ports)
        for port in vars(module).values()
        if inspect.isclass(port) and port.__module__ == module.__name__
    ),
    Reader,
]


def is_documented(owner: object, name: str, value: object) -> bool:
    """A method of a port may leave its docstring to the port."""
    methods = [{name for name in vars(port) if not name.startswith("_")} for port in PORTS]
    return bool(inspect.getdoc(value)) or any(name in own and own <= set(dir(owner)) for own in methods)


def public(module: ModuleType) -> Iterator[tuple[str, bool]]:
    """The public classes and functions that the module defines, with their public methods, and whether each has a docstring."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            yield name, bool(inspect.getdoc(value))
            for inner, member in vars(value).items():
                if not inner.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
                    yield f"{name}.{inner}", is_documented(value, inner, getattr(value, inner))
        elif inspect.isroutine(value):
            yield name, bool(inspect.getdoc(value))


@pytest.mark.parametrize("name", sorted(doc_tables.TABLES))
def test_a_generated_table_is_up_to_date(name: str) -> None:
    assert doc_tables.written(name) == doc_tables.rendered(name), "run python -m tests.tools.doc_tables"


@pytest.mark.parametrize("name", preset_names())
def test_the_page_of_a_preset_is_up_to_date(name: str) -> None:
    assert page_of(name).read_text("utf-8") == rendered_page(name), "run python -m tests.tools.doc_tables"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def test_the_readmes_test_command_is_what_ci_runs() -> None:
    assert TEST_COMMAND in (ROOT / "README.md").read_text(encoding="utf-8")
    assert RUNS["env_list"] == tuple(TEST_COMMAND.split())
    assert "exec python3 tests/tools/ci.py" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "hookspecs/README.md", "CHANGELOG.md", "SECURITY.md"])
def test_the_page_is_there(page: str) -> None:
    assert ROOT / page in PAGES


@pytest.mark.parametrize(("page", "target"), [pytest.param(*link, id=f"{link[0].name} {link[1]}") for link in links()])
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    place = page.parent / path if path else page
    assert place.exists()
    assert not anchor or anchor in anchors(place)


@pytest.mark.parametrize("name", list(modules()))
def test_public_names_have_docstrings(name: str) -> None:
    if name in ITS_SERVER:
        pytest.importorskip(ITS_SERVER[name])
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    assert [public_name for public_name, documented in public(module) if not documented] == []
