"""The client of the AI/ML API: submit once, poll, fetch, read the log. It never retries a submit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from kling_render import __version__
from kling_render.lifecycle.answers import LogRow, PollAnswer, SubmitEvidence
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.classify import api_message, retry_after_s
from kling_render.lifecycle.requests import SubmitRequest
from kling_render.ports import Clock, Fetched, LogRefused, LogUnavailable
from kling_render.providers.aimlapi import vocabulary as v
from kling_render.providers.aimlapi.body import InputChanged, SubmitBody
from kling_render.providers.aimlapi.fetch import fetch
from kling_render.providers.aimlapi.lanes import Lanes

_ANSWER_CAP = 1 << 20
_RAW_CAP = 1 << 16
_TIMES = {"timeout": {"connect": 10.0}}
"""For a connection alone: whole exchanges have a deadline."""
_POLL_S = 30.0
_ANSWER_S = 120.0
_SLOWEST_UPLOAD = 64 * 1024
"""Bytes per second below which an upload is given up."""
_FRESH = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_QUICK_POLLS = 8
_FETCHES = 8
"""Exchanges at once; the rest waits here."""
_PAGES = 2_000
"""Pages of charges that are read at most: 200,000 charges."""
_DRIFT_S = 30.0
"""Wall clock and monotonic clock this far apart: the machine slept, or its clock was set."""


class AimlApi:
    """One account of the API. Use it as an async context manager.

    Args:
        base_url: the API's origin; https, or http on loopback.
        key: the API key; it goes into the Authorization header of API calls and nowhere else.
        namespace: see `Attempt.namespace`.
        account: a keyed hash of the key.
        clock: for `Retry-After` dates and the server's clock offset.
    """

    def __init__(self, *, base_url: str, key: str, namespace: str, account: str, clock: Clock) -> None:
        self.namespace = namespace
        self.account = account
        self._base = base_url.rstrip("/")
        self._clock = clock
        self._ahead = 0.0
        #: Wall clock and monotonic clock when the server last told its time.
        self._seen_at: tuple[float, float] | None = None
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": f"kling-render/{__version__}"}
        tls = _tls()
        self._submits = httpx.AsyncHTTPTransport(verify=tls, limits=_FRESH, trust_env=False)
        self._api = Lanes(_QUICK_POLLS, tls)
        self._links = Lanes(_FETCHES, tls)
        self._generations = httpx.URL(self._base + v.GENERATIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for each in (self._submits, self._api, self._links):
            await each.aclose()

    def server_ahead_s(self) -> float:
        """See `ports.PaidProvider.server_ahead_s`."""
        return self._ahead

    async def submit(self, request: SubmitRequest, before_first_byte: Callable[[], Awaitable[None]]) -> SubmitEvidence:
        """See `ports.PaidProvider.submit`."""
        body = SubmitBody(request)
        seen = _Seen()

        async def trace(event: str, _info: dict[str, Any]) -> None:
            if event.endswith("send_request_headers.started") and not seen.intended:
                await before_first_byte()
                seen.intended = True

        message = httpx.Request(
            "POST",
            self._generations,
            content=body,
            headers={
                **self._headers,
                "Content-Type": "application/json",
                "Content-Length": str(body.declared),
                "Connection": "close",
                v.CLIENT_REQUEST_ID: request.client_request_id,
            },
            extensions={"trace": trace, **_TIMES},
        )
        await self._exchange(message, body, seen)
        return seen.evidence(body)

    async def _exchange(self, message: httpx.Request, body: SubmitBody, seen: _Seen) -> None:
        deadline = 60 + body.declared / _SLOWEST_UPLOAD + _ANSWER_S
        try:
            async with asyncio.timeout(deadline):
                response = await self._submits.handle_async_request(message)
                try:
                    seen.status, seen.headers = response.status_code, response.headers
                    self._note_date(response.headers)
                    seen.body = await _text(response, _RAW_CAP)
                finally:
                    await response.aclose()
        except InputChanged as error:
            seen.input_changed = str(error)
        except TimeoutError:
            seen.broken = f"no answer within {deadline:.0f} s"
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
            seen.broken = f"{type(error).__name__}: {error}".rstrip(": ")
            seen.untrusted = "CERTIFICATE_VERIFY_FAILED" in seen.broken

    async def poll(self, generation_id: str) -> PollAnswer:
        """See `ports.PaidProvider.poll`."""
        try:
            status, headers, text = await self._get(v.GENERATIONS, {"generation_id": generation_id})
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            return PollAnswer(kind="unavailable", message=f"{type(error).__name__}: {error}")
        body = v.json_object(text)
        if status == 200 and body is not None:
            if body.get("id") not in (None, generation_id):
                return PollAnswer(kind="unavailable", message="the server answered for another generation", raw=text)
            return v.poll_answer(body, text)
        message = api_message(body) or f"HTTP {status}"
        if status == 404:
            return PollAnswer(kind="unknown-id", message=message, raw=text)
        if status in (401, 402, 403):
            return PollAnswer(kind="refused", message=f"{message} (HTTP {status})", raw=text)
        wait = retry_after_s(headers.get("retry-after"), self._clock.now())
        return PollAnswer(kind="unavailable", message=message, wait_s=wait, raw=text)

    async def fetch(self, url: str, target: Path) -> Fetched:
        """See `ports.PaidProvider.fetch`."""
        async with self._links.one() as transport:
            return await fetch(transport, url, self._base, target)

    async def log(self, start: float, end: float) -> list[LogRow]:
        """See `ports.PaidProvider.log`. Newest first; new rows push old ones to later pages, so none is missed."""
        rows: dict[tuple[str, str | None], LogRow] = {}
        async for row in self._log_rows(start, end):
            rows[row.inference_id, row.client_request_id] = row
        return list(rows.values())

    async def _log_rows(self, start: float, end: float) -> AsyncIterator[LogRow]:
        offset = 0
        while True:
            query: dict[str, Any] = {"start": v.iso(start), "end": v.iso(end), "limit": v.LOG_PAGE, "offset": offset}
            body = await self._json(v.LOGS, query, "the account's request log")
            try:
                page = [v.log_row(row) for row in body["data"]]
                more = bool(body["pagination"]["has_more"])
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise LogUnavailable(f"the account's request log has an unknown form: {error}") from error
            for row in page:
                yield row
            if not more or not page:
                return
            offset += len(page)

    async def transactions(self, start: float, end: float, page: int = v.LOG_PAGE) -> list[Booking]:
        """Every charge for the use of a model between two times (seconds since the epoch, server time), newest first.

        Raises:
            LogUnavailable: they could not be read completely.
        """
        query: dict[str, Any] = {"from": v.iso(start), "to": v.iso(end), "limit": page}
        query |= {"direction": "CHARGE", "type": "MODEL_USAGE"}
        found: list[Booking] = []
        seen: set[str] = set()
        while True:
            body = await self._json(v.TRANSACTIONS, query, "the account's charges")
            try:
                found += [v.booking(row) for row in body["data"]]
                more, cursor = bool(body["pagination"]["has_more"]), body["pagination"].get("next_cursor")
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise LogUnavailable(f"the account's charges have an unknown form: {error}") from error
            if not more:
                return found
            if not isinstance(cursor, str) or cursor in seen or len(seen) >= _PAGES:
                raise LogUnavailable("the account's charges cannot be read to their end; ask for fewer days")
            seen.add(cursor)
            query["cursor"] = cursor  # verbatim: no other form is accepted

    async def balance(self) -> int | None:
        """See `ports.PaidProvider.balance`."""
        return v.balance_credits(await self.billing())

    async def billing(self) -> dict[str, Any]:
        """`current_balance` and `currency` of the account. Raises LogUnavailable when it cannot be read."""
        return await self._json(v.BILLING, {}, "the account's balance")

    async def know_time(self) -> None:
        """See `ports.PaidProvider.know_time`."""
        if self._seen_at is None or abs(self._drift_s()) > _DRIFT_S:
            await self._json(v.BILLING, {}, "the server's time")
            self._seen_at = self._seen_at or self._now()  # a server that does not tell the time

    def _drift_s(self) -> float:
        """How far wall clock and monotonic clock went apart since the server last told its time."""
        assert self._seen_at is not None
        (wall, ticks), (wall_then, ticks_then) = self._now(), self._seen_at
        return (wall - wall_then) - (ticks - ticks_then)

    def _now(self) -> tuple[float, float]:
        return self._clock.now(), self._clock.monotonic()

    async def _json(self, path: str, query: dict[str, Any], what: str) -> dict[str, Any]:
        try:
            status, _, text = await self._get(path, query)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            raise LogUnavailable(f"{what} cannot be read: {type(error).__name__}") from error
        body = v.json_object(text)
        if status in (401, 402, 403):
            raise LogRefused(f"{api_message(body) or 'the account is refused'} (HTTP {status})")
        if status != 200 or body is None:
            raise LogUnavailable(f"{what} cannot be read: {api_message(body) or f'HTTP {status}'}")
        return body

    async def _get(self, path: str, query: dict[str, Any]) -> tuple[int, httpx.Headers, str]:
        async with self._api.one() as transport, asyncio.timeout(_POLL_S):
            url = f"{self._base}{path}?{urlencode(query)}" if query else self._base + path
            request = httpx.Request("GET", url, headers=self._headers, extensions=_TIMES)
            response = await transport.handle_async_request(request)
            try:
                self._note_date(response.headers)
                return response.status_code, response.headers, await _text(response, _ANSWER_CAP)
            finally:
                await response.aclose()

    def _note_date(self, headers: httpx.Headers) -> None:
        server = _moment(headers.get("date", ""))
        if server is not None:
            known, self._seen_at = self._seen_at is not None, self._now()
            ahead = server - self._seen_at[0]
            # Whole seconds, rounded down: of readings less than one apart the greatest is nearest to the truth.
            self._ahead = max(self._ahead, ahead) if known and abs(self._ahead - ahead) <= 1.0 else ahead


@lru_cache(16)
def _moment(date: str) -> float | None:
    """Seconds since the epoch of a `Date` header; the many answers of one second say the same."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


class _Seen:
    """What became visible of a submit's answer while it came."""

    def __init__(self) -> None:
        self.intended = False
        self.status: int | None = None
        self.headers: httpx.Headers = httpx.Headers()
        self.body = ""
        self.broken: str | None = None
        self.input_changed: str | None = None
        self.untrusted = False

    def evidence(self, body: SubmitBody) -> SubmitEvidence:
        return SubmitEvidence(
            intended=self.intended,
            body_sent=body.sent,
            body_declared=body.declared,
            status=self.status,
            inference_id=self.headers.get(v.INFERENCE_ID),
            retry_after=self.headers.get("retry-after"),
            body=self.body,
            broken=self.broken,
            input_changed=self.input_changed,
            untrusted=self.untrusted,
        )


async def _text(response: httpx.Response, cap: int) -> str:
    """The answer's text, cut at `cap` bytes."""
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > cap:
            break
    return bytes(data[:cap]).decode("utf-8", "replace")


@cache
def _tls() -> ssl.SSLContext:
    """One for the whole process: reading the certificates takes long."""
    return ssl.create_default_context()
