"""Each preset against its host's record, sessions and habits, on a real tmux.

Each host has a module here, named as its preset with ``_`` for ``-``, with a class ``PresetHost``.
"""
