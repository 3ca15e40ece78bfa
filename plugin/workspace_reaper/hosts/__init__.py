"""The reaper as a plugin of servers that have their own kind of plugins. Each module imports its server."""
