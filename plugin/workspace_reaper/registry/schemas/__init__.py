"""The schemas that ship with the reaper: how each host's tables describe its workspaces.

This package must not contain connections or queries.
"""
