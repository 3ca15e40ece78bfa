"""Finding plugins by their entry points, and checking that each can be called before its first event."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pluggy import HookImpl, PluginManager, PluginValidationError

from workspace_hookspecs import _specs
from workspace_hookspecs._logging import ErrorBoundary, log

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_NO_HOOK = "plugin %r implements no hook and is never called: mark its functions with workspace_hookspecs.hookimpl"


def find_entry_points(group: str) -> Iterator[EntryPoint]:
    """Yield the entry points of the group, in the order of ``sys.path``. The first of each name counts.

    A second entry point with the same name is logged, unless its value is the same too: a source tree and its installation
    are one distribution seen twice.
    """
    first: dict[str, str] = {}
    for entry in _all_entry_points(group):
        if entry.name not in first:
            first[entry.name] = entry.value
            yield entry
        elif first[entry.name] != entry.value:
            message = "two plugins are named %r in the entry-point group %s: %s is used, %s is skipped"
            log(logging.ERROR, message, entry.name, group, first[entry.name], entry.value)


def _all_entry_points(group: str) -> Iterator[EntryPoint]:
    # Not importlib.metadata.entry_points(): one malformed file makes it raise for all distributions. Imported late: it is slow.
    from importlib.metadata import distributions

    for distribution in distributions():
        entries: list[EntryPoint] = []
        path = getattr(distribution, "_path", distribution)
        with ErrorBoundary("cannot read the entry points of %s: skipped", path, passing=KeyboardInterrupt):
            entries = [entry for entry in distribution.entry_points if entry.group == group]
        yield from entries


def new_manager() -> PluginManager:
    """Return a manager with the six specifications and no plugin."""
    manager = PluginManager(_specs.PROJECT)
    manager.add_hookspecs(_specs)
    return manager


def manager_of_one(plugin: object, name: str) -> PluginManager:
    """Return a manager with this plugin only.

    Raises:
        PluginValidationError: An implementation has an argument that its specification lacks.
    """
    manager = new_manager()
    manager.register(plugin, name)
    return manager


def check_plugin(plugin: object, name: str, shared: PluginManager) -> bool:
    """Return whether the plugin implements any hook, after a check that each implementation can be called.

    pluggy accepts a misspelt hook unless ``check_pending`` is called, which stops at the first plugin. It also accepts
    functions that can never work, such as coroutines, whose events would be lost silently. The plugin is registered with a
    temporary manager only, because pluggy 1.5 keeps half of a plugin that fails during registration.

    Args:
        plugin: The plugin.
        name: The plugin's name.
        shared: The manager that the plugin is for. It may have more specifications than these six.

    Raises:
        PluginValidationError: An implementation can never be called. The message names the plugin, the hook and the cause.
    """
    callers = manager_of_one(plugin, name).get_hookcallers(plugin) or []
    for caller in callers:
        for impl in caller.get_hookimpls():
            problem = _call_problem(impl, caller.spec.argnames) if caller.spec else _name_problem(caller.name, impl, shared)
            if problem is not None:
                raise PluginValidationError(plugin, f"plugin {name!r}, hook {caller.name!r}: {problem}")
    return bool(callers)


def missing_hooks(manager: PluginManager) -> list[str]:
    """Return those of the six hooks that the manager does not specify."""
    return sorted(set(vars(new_manager().hook)) - set(_specified(manager)))


def find_join(plugin: object) -> Callable[..., object] | None:
    """Return the plugin's ``join`` if it has a parameter ``plugins``.

    The parameter's name decides: a module may have imported ``os.path.join``, and a thread has a ``join`` too.
    """
    join = getattr(plugin, "join", None)
    if not callable(join):
        return None
    try:
        return join if "plugins" in inspect.signature(join).parameters else None
    except ValueError:  # a function without a signature, such as one in C
        return None


def _specified(manager: PluginManager) -> list[str]:
    return sorted(name for name, caller in vars(manager.hook).items() if caller.has_spec())


def _name_problem(hook: str, impl: HookImpl, shared: PluginManager) -> str | None:
    known = _specified(shared)
    return None if impl.optionalhook or hook in known else f"unknown hook; the hooks are {', '.join(known)}"


def _call_problem(impl: HookImpl, arguments: tuple[str, ...]) -> str | None:
    try:
        inspect.signature(impl.function).bind(*impl.argnames)
    except TypeError as error:
        if inspect.isclass(impl.plugin):
            return "the plugin is a class; register an instance"
        return f"it cannot be called with {arguments}: {error}"
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        return "it is asynchronous and would never be awaited; use a plain function"
    if inspect.isgeneratorfunction(impl.function) and not (impl.wrapper or impl.hookwrapper):
        return "it is a generator and would never run; use a plain function"
    defaults = sorted(set(impl.kwargnames) & set(arguments))
    return f"remove the defaults of {defaults}: pluggy 1.5 never passes an argument that has one" if defaults else None


def add_plugin(manager: PluginManager, plugin: object, name: str) -> str | None:
    """Check and register a plugin. Return its name, or None if that name is blocked.

    Raises:
        pluggy.PluginValidationError: The plugin is malformed.
        ValueError: The plugin is already registered, or the name is in use.
    """
    if manager.is_blocked(name):
        log(logging.INFO, "plugin %r is blocked", name)
        return None
    if plugin is None:
        raise PluginValidationError(plugin, f"plugin {name!r} is None")
    if not check_plugin(plugin, name, manager):
        log(logging.WARNING, _NO_HOOK, name)
    try:
        return manager.register(plugin, name)
    except PluginValidationError:  # by a specification that the host added; pluggy 1.5 then keeps half of the plugin
        manager.unregister(name=name)
        raise
