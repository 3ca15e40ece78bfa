"""Helpers without knowledge of sessions or workspaces: text, time, durations, permissions, files, threads, console.

Nothing that knows a rule, a table or a command of tmux may enter it.
"""
