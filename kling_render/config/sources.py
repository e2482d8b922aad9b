"""Where settings come from: the table of settings, the user file, the environment and the flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from kling_render.config.file import read_config
from kling_render.config.secrets import KEY_VARIABLES
from kling_render.config.values import Context, choice, figure, number, origin, path, paths, switch, whole
from kling_render.errors import Diagnostic, Place, UsageError, nearest
from kling_render.shotlist.records import WatchAllowance

DEFAULT_BASE_URL = "https://api.aimlapi.com"
PREFIX = "KLING_RENDER_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how its value is read, its default, and the variable it has besides `KLING_RENDER_<NAME>`."""

    name: str
    read: Callable[[Any, Context], Any]
    default: Any
    variable: str = ""


ALLOWANCE = WatchAllowance()

SETTINGS = (
    Setting("base_url", origin, DEFAULT_BASE_URL, "AIMLAPI_BASE_URL"),
    Setting("key_file", path, None),
    Setting("key_source", choice("auto", "keyring"), "auto"),
    Setting("provider", choice("aimlapi", "previz"), None),
    Setting("store", path, None),  # the default is a folder that depends on the platform
    Setting("poll_seconds", number(0.01, 3600), 15.0),
    Setting("absence_seconds", number(0.01, 30 * 86400), 3600.0),
    Setting("jobs", whole(1, 1000), 8),
    Setting("retries", whole(0, 10), 2),
    Setting("max_jobs", whole(1, 10_000_000), 100_000),
    Setting("input_roots", paths, ()),
    Setting("budget_total_usd", figure, None),
    Setting("budget_per_day_usd", figure, None),
    Setting("max_usd", figure, None),
    Setting("price_tolerance", figure, Decimal(0)),
    Setting("watch_per_save_usd", figure, ALLOWANCE.per_save_usd),
    Setting("watch_per_hour_usd", figure, ALLOWANCE.per_hour_usd),
    Setting("watch_settle_seconds", figure, ALLOWANCE.settle_seconds),
    Setting("watch_hold_seconds", figure, ALLOWANCE.hold_seconds),
    Setting("lock_file", switch, True),
    Setting("offline", switch, False),
    Setting("color", choice("auto", "always", "never"), "auto"),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(slots=True)
class Found:
    """Values by setting, where they came from, and what was wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    file_key: str | None = None

    def take(self, name: str, raw: Any, context: Context, where: str, place: Place | None = None) -> None:
        """Read one value; a later source overwrites an earlier one."""
        try:
            self.values[name] = BY_NAME[name].read(raw, context)
            self.origins[name] = where
        except ValueError as fault:
            self.problems.append(
                Diagnostic("setting", f"{name} from {where}: {fault}", place, f"the setting {name} is not usable")
            )


def from_file(user_config: Path, home: Path, found: Found) -> None:
    """The user file, if there is one."""
    entries = read_config(user_config)
    context = Context(home, user_config.parent)
    for name, (raw, place) in entries.items():
        where = f"{place.file}:{place.line}"
        if name == "key":
            found.file_key = raw if isinstance(raw, str) else ""
            found.origins["key"] = where
        elif name in BY_NAME:
            found.take(name, raw, context, where, place)
        else:
            near = nearest(name, [*BY_NAME, "key"])
            help_text = f"did you mean '{near}'?" if near else f"settings: key, {', '.join(BY_NAME)}"
            found.problems.append(Diagnostic("setting-unknown", f"unknown setting '{name}'", place, help_text))


def from_environment(environ: Mapping[str, str], context: Context, found: Found) -> None:
    """`KLING_RENDER_<NAME>`, the endpoint's variable and `NO_COLOR`. An empty variable counts as not set."""
    if environ.get("NO_COLOR"):
        found.take("color", "never", context, "NO_COLOR")
    for setting in SETTINGS:
        for variable in (f"{PREFIX}{setting.name.upper()}", setting.variable):
            if variable and environ.get(variable):
                found.take(setting.name, environ[variable], context, variable)
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in BY_NAME and name != "config":
            _unknown_variable(variable, name, found)


def _unknown_variable(variable: str, name: str, found: Found) -> None:
    """A near miss of a setting is an error (a mistyped cap must not pass); anything else is remarked on."""
    if name == "key":
        near: str | None = KEY_VARIABLES[0]
    else:
        hit = nearest(name, BY_NAME)
        near = f"{PREFIX}{hit.upper()}" if hit else None
    if near is None:
        found.warnings.append(f"{variable} is not a setting")
    else:
        message = f"unknown setting in the environment: {variable}"
        found.problems.append(Diagnostic("setting-unknown", message, help=f"did you mean {near}?"))


def from_flags(flags: Mapping[str, Any], context: Context, found: Found) -> None:
    """The command line. A key is never taken from it: other users can read a process's arguments."""
    for name, raw in flags.items():
        if name == "key":
            raise UsageError("the API key is never taken from the command line", help=f"Set {KEY_VARIABLES[0]}.")
        if raw is not None and raw != ():
            found.take(name, raw, context, f"--{name.replace('_', '-')}")
