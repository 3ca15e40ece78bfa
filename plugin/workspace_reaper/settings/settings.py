"""Every setting: its name, type, default and meaning."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from workspace_reaper.settings.types import (
    Count,
    Directory,
    Duration,
    Files,
    IdleClocks,
    Interval,
    LogFormat,
    Name,
    Patterns,
    Sockets,
    Survivors,
    Switch,
    Table,
    Url,
)

# The name of our directories in the directories of the user.
APPLICATION = "workspace-reaper"

# The name of the directory of the user's presets.
PRESETS = "presets"


def _own_state_directory() -> Path:
    return Path(platformdirs.user_state_dir(APPLICATION, appauthor=False))


def _own_preset_directory() -> Path:
    return Path(platformdirs.user_config_dir(APPLICATION, appauthor=False)) / PRESETS


class Settings(BaseSettings):
    """All settings, validated. Durations are in seconds, paths are absolute, and lists have no duplicates.

    The constructor reads neither the environment nor a file, and raises pydantic's ``ValidationError``. `load_settings` reads
    the configuration of the user.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    database_url: Url = Field(
        default=None,
        repr=False,  # it may hold a password
        description="The host's database: a URL such as `sqlite:////srv/app/db.sqlite` or `postgresql://reaper@db.example/app`,"
        " or a path with `~` and `$VARIABLE`. With a preset of a server that keeps files: their path.",
        json_schema_extra={"default_text": "the registry's own"},
    )
    registry: Name = Field(
        default="standard",
        description="The kind of server: the name of an installed registry or a preset, `table` for any other table that lists "
        "workspaces, or `files` for files that do, described below. A package adds a registry by an entry point in the group "
        "`workspace_reaper.registries`.",
    )
    preset_dir: Directory = Field(
        default_factory=_own_preset_directory,
        description="Where your own presets are: `NAME.toml` describes the registry `NAME`.",
        json_schema_extra={"default_text": "`presets` in the directory of the configuration file"},
    )
    table: Table = Field(
        default=None,
        description='With `registry = "table"`: the host\'s table, in a section `[table]` with the keys that follow.',
        json_schema_extra={"default_text": "none"},
    )
    files: Files = Field(
        default=None,
        description='With `registry = "files"`: the host\'s files, in a section `[files]` with the keys that follow.',
        json_schema_extra={"default_text": "none"},
    )
    tmux_sockets: Sockets = Field(
        default=None,
        description="The tmux sockets to watch, as names (`tmux -L`) or absolute paths (`tmux -S`).",
        json_schema_extra={"default_text": "the registry's own"},
    )
    session_patterns: Patterns = Field(
        default=None,
        description="Regular expressions for the whole name of a session, with a group `id` that yields the workspace's id. "
        "What matches none is never touched.",
        json_schema_extra={"default_text": "the registry's own"},
    )
    state_dir: Directory = Field(
        default_factory=_own_state_directory,
        description="Where the reaper keeps its ledger, its lock and its snapshots.",
        json_schema_extra={"default_text": "the user's state directory"},
    )
    tick: Interval = Field(default=60, description="The time between two sweeps.")
    idle_ttl: Duration = Field(
        default=48 * 3600,
        description="How long a session may be idle: no client came, went or typed, no window had output, no process computed.",
    )
    min_age: Duration = Field(default=120, description="A session younger than this is no orphan yet.")
    activity_grace: Duration = Field(
        default=60, description="A session that was active within this time is not reaped, unless its workspace was deleted."
    )
    archived_ttl: Duration = Field(
        default=24 * 3600,
        description="How long a session of an archived workspace may go on showing activity before it is reaped all the same.",
    )
    orphan_confirmations: Count = Field(
        default=2, description="The number of full sweeps that must find a session without a row before it is reaped."
    )
    confirmation_gap: Duration = Field(
        default=30, description="The least time between two sweeps that count as two confirmations."
    )
    idle_clocks: IdleClocks = Field(
        default=("input", "attach", "detach", "output", "cpu"),
        description="What counts as activity, wherever a setting says idle: a client's `input`, its `attach` (which tmux takes "
        "for input, too), its `detach`, `output` in any window, `cpu` use above 1 % of a core.",
        json_schema_extra={"default_text": '["input", "attach", "detach", "output", "cpu"]'},
    )
    stranger_ttl: Duration = Field(
        default=12 * 3600,
        description="How long a session that the registry has never known must be idle before it may be reaped.",
    )
    dead_ttl: Duration = Field(default=600, description="How long a session may stay once all its panes are dead.")
    kill_grace: Duration = Field(
        default=5, description="The time between TERM and KILL for processes that outlive their session."
    )
    survivors: Survivors = Field(
        default="worktree",
        description="Which processes that left their session's process tree are ended with it: `worktree` those whose working "
        "directory is inside the workspace's, `all` every one. Those left alone are reported.",
    )
    undo_window: Duration = Field(
        default=0,
        description="How long before its end a session of an archived workspace, or an idle one, is announced: `undo`, an "
        "attach or `keep` cancels that. With 0 it is reaped at once.",
    )
    snapshots: Switch = Field(
        default=True,
        description="Whether the panes of a session are kept before it is reaped, for `show` and `restore`.",
    )
    snapshot_lines: Count = Field(default=10_000, description="At most this many lines are kept of each pane.")
    snapshot_days: Count = Field(default=14, description="How many days a snapshot is kept.")
    snapshot_bytes: Count = Field(
        default=1 << 30, description="How many bytes all snapshots may take, compressed. The oldest go first."
    )
    abstain_alarm: Duration = Field(
        default=1800, description="A session that has been condemned but not reaped for longer than this raises an alarm."
    )
    canary_every: Duration = Field(
        default=0,
        description="How often `run` proves that it reaps, as `doctor --canary` does: `24h` is once a day. With 0 never.",
    )
    max_orphans_per_hour: Count = Field(default=50, description="At most this many orphans are reaped in an hour.")
    log_format: LogFormat = Field(default="keyvalue", description="How `run` writes its log lines: `keyvalue` or `json`.")
    enabled: Switch = Field(
        default=True, description="The off switch: with `false` nothing is looked at and nothing is reaped."
    )

    @property
    def configured(self) -> bool:
        """Whether ``database_url`` or ``registry`` was set: with the defaults alone, nothing is configured."""
        return not self.model_fields_set.isdisjoint({"database_url", "registry"})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the arguments as the only source.

        pydantic-settings ignores a misspelt variable and stops at the first invalid one. So ``load_settings`` reads them.
        """
        return (init_settings,)
