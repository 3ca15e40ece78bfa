"""The words of docstrings, comments, messages and pages: no phrase of the project's former private vocabulary."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
MODULES = sorted([*(ROOT / "plugin").rglob("*.py"), *(ROOT / "hookspecs" / "workspace_hookspecs").rglob("*.py")])
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("hookspecs/*.md")])

BANNED = {
    r"told": "reported, logged, notified, known",
    r"(can't|can not|cannot) be told": "is unknown, cannot be determined",
    r"nobody": "no user, no process",
    r"whoever": "the user who",
    r"anew": "again",
    r"besides?": "next to, in addition to",
    r"mend(s|ed|ing)?": "fix",
    r"as far as": "where, if",
    r"so many (seconds|bytes|times|sessions)": "N seconds",
    r"none of (ours|our business)|not ours": "unmanaged",
    r"goes": "is reaped, continues, is written",
    r"aloud": "in the log",
    r"for ever": "forever, permanently",
    r"testimony|testif\w+|convicts?": "event, reported, confirms",
    r"withh[eo]lds?": "suppressed",
    r"(in)?excus(e|es|ed|able)": "approve, approved",
    r"tak(e|es|en|ing) (it |that )?back": "cancel",
    r"is no (setting|duration|id|text|TOML|number|module|session)": "is not a …, invalid …",
    r"(a|the) word of": "approval",
    r"let be|leave it be": "leave it running",
    r"says so": "reports it",
    r"of (its|their) own making": "",
    r"for a person": "for display",
    r"what (goes|becomes of)": "",
    r"(by|in) (its|tmux's) (own )?words?": "as tmux reports it",
}
"""Each phrase, and what to write instead."""

PATTERN = re.compile(rf"\b(?:{'|'.join(f'(?:{phrase})' for phrase in BANNED)})\b", re.IGNORECASE)


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """The line and text of each string and comment in a module."""
    source = module.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def found(text: str) -> list[str]:
    return [match[0] for match in PATTERN.finditer(" ".join(text.split()))]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_uses_standard_words(module: Path) -> None:
    assert [(line, phrase) for line, text in texts(module) for phrase in found(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_uses_standard_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [(line, phrase) for line, part in enumerate(text.splitlines(), start=1) for phrase in found(part)] == []


@pytest.mark.parametrize("text", ["It can't be told.", "None of ours.", "it Goes", "mended"])
def test_a_banned_phrase_is_found(text: str) -> None:
    assert found(text)


def test_a_standard_sentence_is_not_banned() -> None:
    assert found("Return the sessions of one socket, or Unknown with the reason.") == []
