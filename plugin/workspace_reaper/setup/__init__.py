"""What this machine has that a reaper could look after, and the configuration file for it.

`look_around` gathers, `choose` decides, `configuration` and `told` write texts; only `save` writes a file.
"""

from workspace_reaper.setup.choose import Choice, choose
from workspace_reaper.setup.config_file import configuration, save
from workspace_reaper.setup.discover import Machine, look_around
from workspace_reaper.setup.render import as_json, next_steps, told

__all__ = ["Choice", "Machine", "as_json", "choose", "configuration", "look_around", "next_steps", "save", "told"]
