"""What the account says of itself: its request log and its charges, over many days, with patience."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from kling_render.config import Settings, require_key
from kling_render.errors import AccountRefused, DecisionNeeded
from kling_render.lifecycle.answers import LogRow, PollAnswer
from kling_render.lifecycle.books import Booking
from kling_render.lifecycle.reconcile import LOG_WINDOW_S, WINDOW_MARGIN_S
from kling_render.ports import Clock, LogRefused, LogUnavailable

if TYPE_CHECKING:
    from kling_render.providers.aimlapi.client import AimlApi

T = TypeVar("T")

MOST_DAYS = 92
"""The API's log covers 92 days at most."""
_DAY_S = 86_400.0
_PART_S = 7 * _DAY_S
"""The log is read in parts of a week: what was read stays read when one of many requests fails."""
_TRIES = 5
_PAUSE_S = 4.0
"""Longest first pause: with the ones after it a minute, which is what the server's limit on log reads asks for."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of the server's time, in seconds since the epoch."""

    start: float
    end: float
    #: What the server's clock says now.
    now: float


class Account:
    """Patient reading of one account. A server that wants fewer requests gets time; one that is down is given up.

    Args:
        api: the client.
        clock: for waiting.
        pause_s: the first wait after a failure; it doubles.
        say: is told what is waited for.
    """

    def __init__(self, api: AimlApi, clock: Clock, pause_s: float, say: Say) -> None:
        self.api = api
        self._clock = clock
        self._pause_s = pause_s
        self._say = say

    async def window(self, days: int) -> Window:
        """The last days by the server's clock.

        Raises:
            DecisionNeeded: the server does not answer.
            AccountRefused: it refuses the key.
        """
        await self.patiently(self.api.know_time)
        now = self._clock.now() + self.api.server_ahead_s()
        return Window(start=now - min(days * _DAY_S, LOG_WINDOW_S), end=now + WINDOW_MARGIN_S, now=now)

    async def log(self, window: Window) -> list[LogRow]:
        """Every row of the request log, newest part first. Raises as `window` does."""
        found: list[LogRow] = []
        end = window.end
        while end > window.start:
            start = max(end - _PART_S, window.start)
            found += await self.patiently(lambda start=start, end=end: self.api.log(start, end))  # type: ignore[misc]
            end = start
        return list({(row.inference_id, row.client_request_id): row for row in found}.values())

    async def charges(self, window: Window) -> list[Booking]:
        """Every charge for the use of a model. Raises as `window` does."""
        return await self.patiently(lambda: self.api.transactions(window.start, window.end))

    async def generation(self, generation_id: str) -> PollAnswer:
        """A generation as the server sees it; it may still run, or be unknown. Raises as `window` does."""

        async def ask() -> PollAnswer:
            answer = await self.api.poll(generation_id)
            if answer.kind == "unavailable":
                raise LogUnavailable(f"the server cannot tell now whether {generation_id} exists: {answer.message}")
            return answer

        answer = await self.patiently(ask)
        if answer.kind == "refused":
            raise AccountRefused(answer.message, help="check the key (AIMLAPI_KEY)", code="refused")
        return answer

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again a few times, with growing pauses."""
        for number in range(_TRIES):
            try:
                return await ask()
            except LogRefused as error:
                raise AccountRefused(
                    str(error), help="check the key (AIMLAPI_KEY) and the account", code="refused"
                ) from None
            except LogUnavailable as error:
                if number == _TRIES - 1:
                    raise DecisionNeeded(
                        str(error), help="nothing was changed; run it again later", code="account-unreadable"
                    ) from None
                wait = self._pause_s * 2**number
                self._say(f"{error}; asking again in {wait:.3g} s")
                await self._clock.sleep(wait)
        raise AssertionError("unreachable")


def client_of(settings: Settings, namespace: str, clock: Clock) -> AimlApi:
    """The client for the key in the settings, to be entered.

    Raises:
        AccountRefused: no key is set.
    """
    key = require_key(settings)
    from kling_render.config.secrets import account_id
    from kling_render.providers.aimlapi.client import AimlApi

    return AimlApi(
        base_url=settings.base_url, key=key.reveal(), namespace=namespace, account=account_id(key), clock=clock
    )


@asynccontextmanager
async def open_account(settings: Settings, clock: Clock, say: Say) -> AsyncIterator[Account]:
    """The account of the key in the settings.

    Raises:
        AccountRefused: no key is set.
    """
    async with client_of(settings, settings.namespace, clock) as api:
        yield Account(api, clock, min(settings.poll_seconds, _PAUSE_S), say)
