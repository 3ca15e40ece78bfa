"""Whether a plugin can be called at all, found out before its first event.

pluggy accepts a misspelt hook unless it is asked (``check_pending``), and that stops at the first plugin. It also accepts
functions that can never work, such as coroutines; their events would be lost without a word.
"""

from __future__ import annotations

import inspect

from pluggy import HookImpl, PluginManager, PluginValidationError

from workspace_hookspecs import _specs
from workspace_hookspecs._markers import PROJECT


def new_manager() -> PluginManager:
    """A manager that knows the six hooks and has no plugin."""
    manager = PluginManager(PROJECT)
    manager.add_hookspecs(_specs)
    return manager


def manager_of_one(plugin: object, name: str) -> PluginManager:
    """A manager with this plugin alone. ``PluginValidationError``: an argument that the specification does not have."""
    manager = new_manager()
    manager.register(plugin, name)
    return manager


def check(plugin: object, name: str, shared: PluginManager) -> bool:
    """Whether the plugin implements any hook at all. ``shared`` may know further hooks than ours, which the host calls itself.

    ``PluginValidationError`` names the plugin, the hook and what is wrong. Only a throwaway manager sees the plugin:
    pluggy 1.5 keeps half of a plugin that fails while it is registered.
    """
    callers = manager_of_one(plugin, name).get_hookcallers(plugin) or []
    for caller in callers:
        for impl in caller.get_hookimpls():
            wrong = _uncallable(impl, caller.spec.argnames) if caller.spec else _unknown(caller.name, impl, shared)
            if wrong is not None:
                raise PluginValidationError(plugin, f"plugin {name!r}, hook {caller.name!r}: {wrong}")
    return bool(callers)


def unspecified(manager: PluginManager) -> list[str]:
    """Which of the six hooks a manager of the host's own does not know."""
    known = {name for name, caller in vars(manager.hook).items() if caller.has_spec()}
    return sorted(set(vars(new_manager().hook)) - known)


def _unknown(hook: str, impl: HookImpl, shared: PluginManager) -> str | None:
    known = sorted(name for name, caller in vars(shared.hook).items() if caller.has_spec())
    return None if impl.optionalhook or hook in known else f"there is no such hook; there are {', '.join(known)}"


def _uncallable(impl: HookImpl, arguments: tuple[str, ...]) -> str | None:
    try:
        inspect.signature(impl.function).bind(*impl.argnames)
    except TypeError as error:
        is_class = inspect.isclass(impl.plugin)
        return (
            "the plugin is a class, and an instance is needed" if is_class else f"it can't be called with {arguments}: {error}"
        )
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        return "it is asynchronous and would never be awaited; hooks are plain functions"
    if inspect.isgeneratorfunction(impl.function) and not (impl.wrapper or impl.hookwrapper):
        return "it is a generator and would never be run; hooks are plain functions"
    defaults = sorted(set(impl.kwargnames) & set(arguments))
    return f"remove the defaults of {defaults}: pluggy 1.5 never passes an argument that has one" if defaults else None
