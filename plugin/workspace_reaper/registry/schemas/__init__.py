"""The schemas that ship with the reaper: how each host's tables describe its workspaces.

No connection and no query may enter it.
"""
