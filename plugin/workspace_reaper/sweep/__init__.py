"""The nine steps of a sweep, a module for each, and its report.

A rule belongs in ``policy``; a command of tmux, a statement of SQL or a file belongs in an adapter behind a port.
"""
