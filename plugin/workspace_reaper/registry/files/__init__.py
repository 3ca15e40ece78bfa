"""The registry over files (JSON, TOML, YAML): finding and reading them, and watching them for changes.

Each look-up loads the workspaces into an SQLite database in memory, which evaluates the operator's expressions.
"""
