"""What this machine has that a reaper could look after, and the configuration file for it.

`look_around` gathers, `choose` decides, `configuration` and `told` write texts; only `save` writes a file.
"""

from workspace_reaper.discovery.choosing import Choice, choose
from workspace_reaper.discovery.configuration import configuration
from workspace_reaper.discovery.findings import Machine
from workspace_reaper.discovery.looking import look_around
from workspace_reaper.discovery.saving import save
from workspace_reaper.discovery.telling import as_json, next_steps, told

__all__ = ["Choice", "Machine", "as_json", "choose", "configuration", "look_around", "next_steps", "save", "told"]
