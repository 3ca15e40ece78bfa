"""A host's workspaces in SQLite: reading them, watching the file for commits, and describing its errors.

No schema of a host may enter it.
"""
