"""The `plan --json` document, version 1, as described by `schemas/plan.schema.json`. Money is exact decimal text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kling_render.planning.eta import Eta
from kling_render.planning.manifest import decimal_text
from kling_render.planning.prices import Price
from kling_render.planning.records import Plan, PlannedJob, Totals

FORMAT = "kling-render.plan/1"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The whole document, ready for `json.dumps`."""
    return {
        "format": FORMAT,
        "project": plan.project,
        "provider": plan.provider,
        "prices": [_price(price) for price in plan.prices if price.source != "free"],
        "jobs": [job_document(job, plan.output_dir) for job in plan.jobs],
        "stale_outputs": list(plan.stale_outputs),
        "totals": _totals(plan.totals),
        "notes": [{"code": note.code.value, "text": note.text} for note in plan.notes],
        "eta": _eta(plan.eta),
    }


def job_document(planned: PlannedJob, output_dir: str) -> dict[str, Any]:
    """One job of the document; `render --json` adds what became of it."""
    job = planned.job
    return {
        "id": job.id,
        "shot": job.shot,
        "character": job.character,
        "motion": job.motion,
        "take": job.take,
        "values": dict(job.values),
        "fingerprint": planned.fingerprint,
        "action": planned.action.value,
        "reasons": [{"code": r.code.value, "text": r.text, "at": r.at} for r in planned.reasons],
        "output": f"{output_dir}/{job.output}",
        "final": f"{output_dir}/{job.final}",
        "estimate_usd": money(planned.estimate_usd),
        "up_to_usd": money(planned.up_to_usd),
        "duration_s": None if planned.duration_s is None else float(planned.duration_s),
        "prompt": job.request.prompt,
    }


def money(amount: Decimal | None) -> str | None:
    """An amount as exact decimal text; None for an unknown one."""
    return None if amount is None else decimal_text(amount)


def _price(price: Price) -> dict[str, Any]:
    """A price; the amount that applies is a text, the other null."""
    return {
        "model": price.model,
        "usd_per_second": money(price.usd_per_second),
        "usd_fixed": money(price.usd_fixed),
        "as_of": price.as_of,
        "source": price.source,
    }


def _eta(eta: Eta | None) -> dict[str, Any] | None:
    """When the renders are probably done, and what says so; times are seconds."""
    if eta is None:
        return None
    return {
        "seconds": round(eta.seconds, 1),
        "at_once": eta.at_once,
        "render_p50_s": round(eta.pace.typical_s, 1),
        "render_p90_s": round(eta.pace.slow_s, 1),
        "source": eta.pace.source,
        "renders": eta.pace.renders,
    }


def _totals(totals: Totals) -> dict[str, Any]:
    """Counts and money of the selected jobs."""
    return {
        "jobs": totals.jobs,
        "render": totals.render,
        "up_to_date": totals.up_to_date,
        "restore": totals.restore,
        "resume": totals.resume,
        "adopt": totals.adopt,
        "blocked": totals.blocked,
        "pinned": totals.pinned,
        "estimate_usd": money(totals.estimate_usd),
        "up_to_usd": money(totals.up_to_usd),
        "saved_usd": money(totals.saved_usd),
        "locked": totals.locked,
        "locked_up_to_usd": money(totals.locked_up_to_usd),
    }
