"""The user's settings: defaults < user file < environment < flags, each value with where it came from.

The shot list is no source here: endpoint, key, store and input roots can never come from it, and its budgets only
tighten these (`tightest`, `watch_allowance`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from kling_render.config.file import read_key_file, user_folder
from kling_render.config.secrets import KEY_VARIABLES, Secret, key_from, system_keyring
from kling_render.config.sources import (
    ALLOWANCE,
    BY_NAME,
    PREFIX,
    SETTINGS,
    Found,
    from_environment,
    from_file,
    from_flags,
)
from kling_render.config.values import Context, is_loopback, normal_origin
from kling_render.errors import AccountRefused, InputProblems
from kling_render.shotlist.records import WatchAllowance

SANDBOX = "sandbox"
"""The namespace of all loopback origins."""

Color = Literal["auto", "always", "never"]
KeySource = Literal["auto", "keyring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, checked. Durations are seconds, money is USD; None means "no limit" or "not set"."""

    #: `https://host[:port]`, or http on loopback.
    base_url: str
    #: None: none was found (or it is in the keyring); see `require_key`.
    key: Secret | None
    key_file: Path | None
    key_source: KeySource
    #: Overrides the shot list's provider.
    provider: str | None
    store: Path
    #: The documented interval between polls; scales all poll timing.
    poll_seconds: float
    #: How long "not in the log" must have lasted before it proves anything.
    absence_seconds: float
    #: How many jobs are under way at once.
    jobs: int
    #: Further attempts after a transient remote failure.
    retries: int
    #: The most jobs a shot list may expand to.
    max_jobs: int
    #: Folders besides the project that inputs may come from.
    input_roots: tuple[Path, ...]
    budget_total_usd: Decimal | None
    budget_per_day_usd: Decimal | None
    max_usd: Decimal | None
    watch_per_save_usd: Decimal
    watch_per_hour_usd: Decimal
    watch_settle_seconds: Decimal
    watch_hold_seconds: Decimal
    #: Whether `shotlist.lock.json` is written, and looked into before anything is paid.
    lock_file: bool
    #: Remote inputs are not fetched for checking.
    offline: bool
    color: Color
    #: Setting → where its value came from: `default`, a variable, a flag, or `FILE:LINE`.
    origins: Mapping[str, str]
    #: How far a price may have risen since a plan was saved, as a share of it.
    price_tolerance: Decimal = Decimal(0)
    #: Why a key that was found is not usable; raised only when a key is needed.
    key_problem: str = ""
    #: Remarks for the user, a sentence each.
    warnings: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """Under which results and attempts of this endpoint are kept."""
        return namespace_of(self.base_url)


def load_settings(
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    user_config: Path | None,
    *,
    home: Path,
    cwd: Path,
) -> Settings:
    """All settings. `flags` holds what was given on the command line, by setting name; None counts as not given.

    Raises:
        InputProblems: values or names that are wrong, all at once.
        UsageError: the user file cannot be read, or is readable by others and holds a key.
    """
    found = Found()
    for setting in SETTINGS:
        found.values[setting.name], found.origins[setting.name] = setting.default, "default"
    if user_config is not None:
        from_file(user_config, home, found)
    from_environment(environ, Context(home, cwd), found)
    from_flags(flags, Context(home, cwd), found)
    if found.problems:
        raise InputProblems(found.problems)
    if found.values["store"] is None:
        found.values["store"] = user_folder("data", environ, home) / "store"
    _remark(found)
    key, problem = _key(environ, found)
    return Settings(
        **found.values,
        key=key,
        origins=dict(found.origins),
        key_problem=problem,
        warnings=tuple(found.warnings),
    )


def require_key(settings: Settings, keyring: Callable[[str], str | None] | None = None) -> Secret:
    """The key, for what cannot be done without one. `keyring` looks a key up by the API's origin.

    Raises:
        AccountRefused: there is none, or it is not usable.
    """
    if settings.key is not None:
        return settings.key
    problem = settings.key_problem
    if not problem and settings.key_source == "keyring":
        stored = (keyring or system_keyring)(settings.base_url)
        if stored:
            try:
                return key_from(stored)
            except ValueError as fault:
                problem = f"{fault} (from the keyring)"
    raise AccountRefused(
        problem or "no API key",
        code="no-key" if not problem else "bad-key",
        help=f"Set {KEY_VARIABLES[0]}, or name a file that only you can read with {PREFIX}KEY_FILE.",
    )


def namespace_of(base_url: str) -> str:
    """`sandbox` for every loopback origin, else the origin: results of one never satisfy another."""
    known = normal_origin(base_url)
    return SANDBOX if is_loopback(known) else known


def tightest(*limits: Decimal | None) -> Decimal | None:
    """The lowest of the limits that are set: a shot list can tighten the user's budget, never widen it."""
    given = [limit for limit in limits if limit is not None]
    return min(given) if given else None


def watch_allowance(settings: Settings, listed: WatchAllowance) -> WatchAllowance:
    """What a save may cost: the user's own allowance, tightened by the shot list.

    Where the list only repeats the default it says nothing, so that a user's wider allowance holds.
    """

    def money_of(name: str) -> Decimal:
        own: Decimal = getattr(settings, f"watch_{name}")
        said: Decimal = getattr(listed, name)
        return own if said == getattr(ALLOWANCE, name) else min(own, said)

    def wait_of(name: str) -> Decimal:
        own: Decimal = getattr(settings, f"watch_{name}")
        said: Decimal = getattr(listed, name)
        return said if settings.origins[f"watch_{name}"] == "default" else own

    return WatchAllowance(
        per_save_usd=money_of("per_save_usd"),
        per_hour_usd=money_of("per_hour_usd"),
        settle_seconds=wait_of("settle_seconds"),
        hold_seconds=wait_of("hold_seconds"),
    )


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value and origin of every setting, for the `config` command; the key is masked."""
    rows = []
    for name in ("key", *BY_NAME):
        value = getattr(settings, name)
        if name == "key":
            shown = "not usable" if settings.key_problem else "not set" if value is None else str(value)
        elif isinstance(value, tuple):
            shown = os.pathsep.join(map(str, value))
        else:
            shown = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        rows.append((name, shown, settings.origins.get(name, "")))
    return rows


def _remark(found: Found) -> None:
    """What is allowed, and dangerous."""
    values = found.values
    if values["absence_seconds"] < 600 and not is_loopback(values["base_url"]):
        found.warnings.append(
            f"absence_seconds is {values['absence_seconds']:g}: a submit whose answer was lost may be repeated while "
            "the first one still runs, and be paid twice"
        )


def _key(environ: Mapping[str, str], found: Found) -> tuple[Secret | None, str]:
    """The key and, when one was found that is not usable, why."""
    if found.values["key_source"] == "keyring":
        found.origins["key"] = "keyring"  # asked only when a key is needed: it may put up a dialogue
        return None, ""
    try:
        written = _key_text(environ, found)
        return (None, "") if written is None else (key_from(written), "")
    except ValueError as fault:
        return None, f"{fault} (from {found.origins['key']})"


def _key_text(environ: Mapping[str, str], found: Found) -> str | None:
    """The key as written: the environment's, else the user file's, else the key file's."""
    for variable in KEY_VARIABLES:
        if environ.get(variable):
            found.origins["key"] = variable
            return environ[variable]
    if found.file_key is not None:  # its origin was noted with it
        return found.file_key
    key_file: Path | None = found.values["key_file"]
    if key_file is None:
        return None
    found.origins["key"] = str(key_file)
    return read_key_file(key_file)
