"""Servers that have plugins of their own kind: the reaper as one of those. Each module needs its server to be imported."""
