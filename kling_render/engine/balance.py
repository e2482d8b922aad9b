"""What the account may still spend, looked at before the first submit: a refusal foreseen is a refusal spared."""

from __future__ import annotations

from collections.abc import Sequence

from kling_render.engine.tracker import Tracker
from kling_render.engine.work import Stop, Work
from kling_render.engine.world import World
from kling_render.lifecycle.records import usd_of
from kling_render.ports import LogRefused, LogUnavailable


async def check_balance(world: World, works: Sequence[Work], tracker: Tracker) -> None:
    """Stop submitting when the balance does not cover even the cheapest of the works; say so when not all of them.

    A balance that cannot be read is said and stops nothing: the server refuses what it will not be paid for.
    """
    if not works:
        return
    try:
        balance = await world.paid.balance()
    except LogRefused as error:
        tracker.stop(Stop.ACCOUNT, str(error))
        return
    except LogUnavailable as error:
        tracker.note(str(error))
        return
    if balance is None:
        return
    holds = sorted(work.hold or 0 for work in works)
    shown, wanted = (f"${usd_of(credits_).normalize():f}" for credits_ in (balance, sum(holds)))
    if balance <= 0 or balance < holds[0]:
        tracker.stop(Stop.ACCOUNT, f"the account has {shown} left; {len(works)} jobs need about {wanted}")
    elif balance < sum(holds):
        tracker.note(f"the account has {shown} left; {len(works)} jobs need about {wanted}: not all will be accepted")
