"""The values that all packages share: sessions, workspaces, processes, reaps, state, errors, and the ports to the outside.

No I/O, no rules, and no import of another package of ours may enter it.
"""
