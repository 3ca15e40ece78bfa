"""What is on this machine for a reaper to manage, a configuration file for it, and service definitions for the daemon.

``look_around`` collects, ``choose`` decides, ``configuration`` and ``as_text`` return text. Only ``save`` writes a file.
"""

from workspace_reaper.setup.choose import Choice, choose
from workspace_reaper.setup.config_file import configuration, save
from workspace_reaper.setup.discover import Machine, look_around
from workspace_reaper.setup.render import as_json, as_text, next_steps

__all__ = ["Choice", "Machine", "as_json", "as_text", "choose", "configuration", "look_around", "next_steps", "save"]
