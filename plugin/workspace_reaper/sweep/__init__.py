"""The nine steps of a sweep and its report. The first line of a module names its step.

A rule belongs in ``policy``; a command of tmux, a statement of SQL or a file belongs in an adapter behind a port.
"""
