"""Snapshots of sessions before they are reaped: ``state_dir/snapshots/<reap id>/``, readable by this user alone.

Only the format and the files of snapshots are here. tmux is reached through the port ``Terminal`` alone.
"""
