"""The registry over an SQLite file: reading it, watching it for commits, and describing its errors.

This package must not contain the schema of a host.
"""
