"""The host daemon: fires the hooks on behalf of a server that cannot load Python plugins."""
