"""Handing a plugin the others, if it asks for them: the one that ends sessions wants to ask the others first."""

from __future__ import annotations

import inspect
import logging

from workspace_hookspecs._reporting import report


def join(name: str, plugin: object, plugins: object) -> bool:
    """Call the plugin's ``join(plugins=…)``; whether it has one. What that raises is logged with the plugin's name."""
    wanted = False
    try:
        wanted = _wanted(plugin)
        if wanted:
            plugin.join(plugins=plugins)  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (boundary: one plugin; sys.exit() must not end the host)
        report(logging.ERROR, "plugin %r raised in join()", name, error=error)
    return wanted


def _wanted(plugin: object) -> bool:
    """Whether it has a ``join`` that takes ``plugins``. By that name, as hooks are told by their arguments: a module may have
    imported ``os.path.join``, and threads can be joined as well."""
    join = getattr(plugin, "join", None)
    if not callable(join):
        return False
    try:
        return "plugins" in inspect.signature(join).parameters
    except ValueError:  # a function that tells no signature
        return False
