"""Parses a document strictly, and returns it as JSON text for SQLite."""

from __future__ import annotations

import json
from typing import NoReturn

from workspace_reaper.registry import toml
from workspace_reaper.registry.files.errors import IncompleteFile, UnreadableFiles
from workspace_reaper.registry.files.strict import MOST_LEVELS, Malformed, TooDeep, check_depth, plain, without_duplicates


def is_complete_by_itself(path: str) -> bool:
    """Return whether no beginning of such a document is a document: JSON ends with a bracket, TOML and YAML at any line."""
    return path.endswith(".json")


def as_json(path: str, content: bytes) -> str:
    """Return the document as JSON text.

    Raises:
        IncompleteFile: It cannot be parsed: it may be just being written.
        UnreadableFiles: It is nested too deeply, or the parser is not installed.
    """
    language = "JSON" if path.endswith(".json") else "TOML" if path.endswith(".toml") else "YAML"
    try:
        text = content.decode("utf-8")
        if not text.strip():
            raise Malformed("it is empty")
        return _PARSERS[language](text)
    except (TooDeep, RecursionError) as error:
        raise UnreadableFiles(f"{path} is nested more than {MOST_LEVELS} levels deep, which is the limit.") from error
    except ImportError as error:
        raise UnreadableFiles(f"{path} needs a parser for YAML: pip install 'workspace-reaper[yaml]'.") from error
    except ValueError as error:  # of each parser, and of UTF-8
        raise IncompleteFile(f"{path} is not valid {language} ({error}): correct it, if this lasts.") from error


def _refuse(constant: str) -> NoReturn:
    raise Malformed(f"it contains {constant}, which JSON does not have")


def _json(text: str) -> str:
    check_depth(json.loads(text, object_pairs_hook=without_duplicates, parse_constant=_refuse))
    return text


def _toml(text: str) -> str:
    return json.dumps(plain(toml.loads(text)), ensure_ascii=False)


def _yaml(text: str) -> str:
    from workspace_reaper.registry.files.yaml_loader import load_yaml

    return json.dumps(plain(load_yaml(text)), ensure_ascii=False)


_PARSERS = {"JSON": _json, "TOML": _toml, "YAML": _yaml}
