"""`kling-render doctor`."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import click

from kling_render import __version__
from kling_render.cli.invocation import Invocation, global_options
from kling_render.config import Settings
from kling_render.errors import AccountRefused, KlingRenderError, StoreFault
from kling_render.lifecycle.habits import log_habits, running_fact
from kling_render.models import DEFAULT_MODEL
from kling_render.ports import LogUnavailable

if TYPE_CHECKING:
    from kling_render.providers.aimlapi.client import AimlApi

_SIGNS = {"ok": "ok  ", "warning": "warn", "problem": "FAIL"}
_LIBRARIES = ("httpx", "av", "pillow", "jinja2", "pyyaml", "click")
_LOW_DISK = 1 << 30
_CLOCK_OFF_S = 300.0
_LOG_DAYS = 7


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: str
    text: str
    help: str = ""
    exit_code: int = 0


@click.command("doctor")
@global_options
def command(invocation: Invocation) -> int:
    """Check key, balance, price, store, versions, clock and disk. Sends nothing that costs.

    \b
    Examples:
      kling-render doctor
    """
    settings = invocation.settings()
    account = asyncio.run(_account(invocation, settings))
    findings = [*_versions(), *_store(invocation, settings), *account, _price(settings)]
    if invocation.as_json:
        rows = [{k: v for k, v in asdict(finding).items() if k != "exit_code"} for finding in findings]
        invocation.document({"format": "kling-render.doctor/1", "findings": rows})
    else:
        for finding in findings:
            click.echo(f"{_SIGNS[finding.state]}  {finding.what}: {finding.text}")
            if finding.help:
                click.echo(f"      help: {finding.help}")
    codes = {finding.exit_code for finding in findings}
    return next((code for code in (7, 6) if code in codes), 0)


def _versions() -> Iterator[Finding]:
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    yield Finding("versions", "ok", f"kling-render {__version__}, Python {platform.python_version()}, {libraries}")
    yield Finding("system", "ok", f"{platform.platform()}, SQLite {sqlite3.sqlite_version}")


def _store(invocation: Invocation, settings: Settings) -> Iterator[Finding]:
    try:
        with invocation.open_store(settings) as store:
            store.ledger.check(thorough=True)
            with store.ledger.reading() as ledger:
                open_count = {name: len(ledger.open_attempts(name)) for name in ledger.namespaces()}
            kept = list(store.blobs.everything())
    except StoreFault as fault:
        yield Finding("store", "problem", fault.message, fault.help, 7)
        return
    size = sum(size for _, size in kept) / 1e6
    waiting = ", ".join(f"{count} open in {name}" for name, count in open_count.items() if count)
    text = f"{settings.store}: sound, {len(kept)} files, {size:.1f} MB" + (f", {waiting}" if waiting else "")
    yield Finding("store", "ok", text)
    free = shutil.disk_usage(settings.store).free
    if free < _LOW_DISK:
        help_ = "make room before rendering: results need space for the download and the output"
        yield Finding("disk", "warning", f"only {free / 1e6:.0f} MB are free", help_)
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free")


async def _account(invocation: Invocation, settings: Settings) -> list[Finding]:
    from kling_render.workspace.account.account import client_of
    from kling_render.workspace.times import SystemClock

    try:
        client = client_of(settings, settings.namespace, SystemClock())
    except AccountRefused as refusal:
        return [Finding("key", "warning", f"{refusal.message} (only needed for paid renders)", refusal.help)]
    found = [Finding("key", "ok", f"set ({settings.origins.get('key', 'keyring')})")]
    async with client as api:
        try:
            answer = await api.billing()
        except (LogUnavailable, KlingRenderError) as error:
            help_ = "check the key, the network, and AIMLAPI_BASE_URL"
            return [*found, Finding("account", "problem", f"{settings.base_url}: {error}", help_, 6)]
        ahead = api.server_ahead_s()
        log = await _log(api, invocation, settings)
    text = f"{answer.get('current_balance')} {answer.get('currency', '')} at {settings.base_url}".strip()
    found.append(Finding("balance", "ok", text))
    off = abs(ahead) > _CLOCK_OFF_S
    found.append(
        Finding(
            "clock",
            "warning" if off else "ok",
            f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the server's",
            "set the machine's clock" if off else "",
        )
    )
    return [*found, *log]


async def _log(api: AimlApi, invocation: Invocation, settings: Settings) -> list[Finding]:
    """What the account's request log was seen to do: doubts about payments are settled by it."""
    now = time.time() + api.server_ahead_s()
    since = now - _LOG_DAYS * 86_400.0
    try:
        rows = await api.log(since, now + 600.0)
        with invocation.open_store(settings) as store, store.ledger.reading() as ledger:
            paid = [a for a in ledger.attempts(settings.namespace) if a.account == api.account and a.generation_id]
            running = ledger.knows(running_fact(settings.namespace, api.account))
    except LogUnavailable as error:
        help_ = "nothing new is paid while it cannot be read (`render --without-log` pays all the same)"
        return [Finding("log", "warning", str(error), help_)]
    except StoreFault:
        return []  # said already
    recent = [a for a in paid if a.accepted_at is not None and since <= a.accepted_at and not a.failure]
    seen = log_habits(recent, rows, now)
    text = f"readable; lists {seen.listed} of our {seen.jobs} jobs of {_LOG_DAYS} days, {seen.named} by the id we sent"
    if seen.behind_s is not None:
        text += f"; a job of {seen.behind_s:.0f} s ago is not listed yet"
    text += "; running requests were seen in it" if running else "; running requests were not seen in it so far"
    nameless = seen.named < seen.listed
    help_ = "without our ids a lost answer cannot be found again: such doubts will be yours to decide"
    return [Finding("log", "warning" if nameless else "ok", text, help_ if nameless else "")]


def _price(settings: Settings) -> Finding:
    if settings.offline:
        return Finding("price", "warning", "not looked up (--offline)")
    from kling_render.planning.prices import price_from_catalogue
    from kling_render.providers.aimlapi.catalogue import look_up

    answer = look_up(settings.base_url, [DEFAULT_MODEL], None)
    if answer is None or answer.body is None:
        help_ = "plans show no cost until it can; nothing can be sent under a cap"
        return Finding("price", "warning", f"the catalogue at {settings.base_url} cannot be read", help_)
    price = price_from_catalogue(answer.body, DEFAULT_MODEL, {}, as_of="")
    if price is None or price.usd_per_second is None:
        return Finding("price", "warning", f"the catalogue quotes no price per second for {DEFAULT_MODEL}")
    return Finding("price", "ok", f"${price.usd_per_second} per second of {DEFAULT_MODEL}")
