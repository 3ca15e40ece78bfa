"""The host daemon: fires the hooks for a server that cannot load Python plugins."""
