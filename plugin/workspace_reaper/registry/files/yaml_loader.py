"""Reads YAML with PyYAML's safe loader, after its events were counted: an alias repeats what it names.

The extra ``yaml`` installs PyYAML. This module is imported for the first file in YAML only.
"""

from __future__ import annotations

from typing import Any

import yaml

from workspace_reaper.registry.files.strict import MOST_LEVELS, Malformed, TooDeep, without_duplicates

# The largest number of values in a document, those of aliases counted each time.
MOST_VALUES = 1_000_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(_Loader):  # type: ignore[misc]
    """The safe loader, which refuses a map with the same key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        # The values of the keys: 1 and true are one key for Python, which would drop one of the two.
        keys = [self.construct_object(key) for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        without_duplicates([(key, None) for key in keys])
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Return the one document of the text.

    Raises:
        Malformed: It is not valid YAML, has several documents, or is too large once its aliases are replaced.
        TooDeep: It is nested too deeply.
    """
    try:
        _check_size(text)
        return yaml.load(text, Loader=_StrictLoader)  # a subclass of the safe loader
    except (yaml.YAMLError, TypeError) as error:  # TypeError: a key that is a list or a map
        if "maximum nesting depth" in str(error):  # a limit of libyaml, which reads ahead
            raise TooDeep from error
        raise Malformed(" ".join(str(error).split())) from error


def _check_size(text: str) -> None:
    """Count the values and the levels without building any: the loader itself recurses, and multiplies what aliases name."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # the anchor of each open list or map, and the count where it began
    count = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise Malformed(f"the alias {event.anchor!r} names what it is in")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, began = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - began
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if len(open_nodes) > MOST_LEVELS:
            raise TooDeep
        if count > MOST_VALUES:
            raise Malformed(f"it has more than {MOST_VALUES} values, those of aliases counted each time")
