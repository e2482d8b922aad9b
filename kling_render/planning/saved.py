"""A saved plan: what exactly may be paid for, in a form that can be kept, reviewed and held against the present.

It holds no key, no prompt, no absolute path and no address of an input. Its digest finds every later change of the
file; it is no signature, so a plan from elsewhere deserves the trust of whoever sent it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from kling_render.errors import Place
from kling_render.lifecycle.records import credits_of, usd_of
from kling_render.planning.document import money
from kling_render.planning.manifest import Difference, Manifest
from kling_render.planning.prices import Price, total_usd
from kling_render.planning.reasons import place_of
from kling_render.planning.records import Action, Plan, PlannedJob
from kling_render.planning.text import usd_text

FORMAT = "kling-render.saved-plan/1"

_NAMED = 3
"""Jobs of a difference that are named."""


class NotAPlan(ValueError):
    """The text is no saved plan, or not the one that was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedJob:
    """One job that may be rendered."""

    id: str
    fingerprint: str
    #: Take and final, relative to the shot list.
    output: str
    final: str
    estimate_usd: Decimal | None
    #: Whether it shares the result of another job of the plan, and so costs nothing itself.
    shares: bool
    #: The manifest's fields; prompts and addresses as digests. Tells what changed.
    request: Mapping[str, Any]
    #: Whether the lock file brings it, so that nothing was agreed to be paid for it.
    locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """Everything that was agreed to."""

    tool_version: str
    #: ISO 8601, UTC.
    made_at: str
    project: str
    provider: str
    namespace: str
    #: The selection that the plan was made with: what it would add today counts as a difference.
    selectors: tuple[str, ...]
    pilot: bool
    prices: tuple[Mapping[str, Any], ...]
    #: The most that may be spent; None when a price was not known.
    ceiling_usd: Decimal | None
    jobs: tuple[SavedJob, ...]


@dataclass(frozen=True, slots=True)
class Departure:
    """One way in which the present differs from a saved plan."""

    #: The job's id; empty for what concerns the whole plan.
    job: str
    what: str
    old: str
    new: str
    #: Where the present says it.
    at: Place | None = None

    def __str__(self) -> str:
        of = f"{self.job}: " if self.job else ""
        return f"{of}{self.what}: {self.old} → {self.new}"


def told(found: Iterable[Departure]) -> list[tuple[str, Place | None]]:
    """The departures in words, one for each place and field: what one edit did to many jobs is said once."""
    groups: dict[tuple[str, Place | None, str], list[Departure]] = {}
    for one in found:
        gone_or_new = one.old if one.what == "job" else ""
        groups.setdefault((one.what, one.at, gone_or_new), []).append(one)
    return [(_group_text(group), group[0].at) for group in groups.values()]


def _group_text(group: Sequence[Departure]) -> str:
    first = group[0]
    if len(group) == 1:
        return str(first)
    jobs = ", ".join(one.job for one in group[:_NAMED])
    jobs += f" and {len(group) - _NAMED} more" if len(group) > _NAMED else ""
    same = {(one.old, one.new) for one in group} == {(first.old, first.new)}
    values = f": {first.old} → {first.new}" if same else f": {first.old} → {first.new}, and so on"
    if first.what == "prompt" and not same:  # digests tell nothing more
        values = " is another one"
    return f"{first.what} of {len(group)} jobs{values} ({jobs})"


def save(plan: Plan, *, selectors: Sequence[str], pilot: bool, tool_version: str, made_at: str) -> SavedPlan:
    """What of a plan spends, and what shares in it; what the lock file brings, too, lest it be paid for after all."""
    rendered = {planned.key for planned in plan.jobs if planned.action is Action.RENDER or planned.is_promised}
    jobs = [p for p in plan.jobs if p.action in (Action.RENDER, Action.ADOPT) and p.key in rendered]
    return SavedPlan(
        tool_version=tool_version,
        made_at=made_at,
        project=plan.project,
        provider=plan.provider,
        namespace=plan.namespace,
        selectors=tuple(selectors),
        pilot=pilot,
        prices=tuple(_price(price) for price in plan.prices if price.source != "free"),
        ceiling_usd=_ceiling(jobs),
        jobs=tuple(_saved(planned, plan.output_dir) for planned in jobs),
    )


def document(saved: SavedPlan) -> dict[str, Any]:
    """The document of a saved plan, its digest last."""
    body = {
        "format": FORMAT,
        "tool_version": saved.tool_version,
        "made_at": saved.made_at,
        "project": saved.project,
        "provider": saved.provider,
        "namespace": saved.namespace,
        "selectors": list(saved.selectors),
        "pilot": saved.pilot,
        "prices": [dict(price) for price in saved.prices],
        "ceiling_usd": money(saved.ceiling_usd),
        "jobs": [_job_document(job) for job in saved.jobs],
    }
    return {**body, "digest": _digest(body)}


def read(text: bytes) -> SavedPlan:
    """The plan in the bytes of a file.

    Raises:
        NotAPlan: they hold none, one of a later form, or one that was changed since it was saved.
    """
    body = _body(text)
    if body.get("format") != FORMAT:
        raise NotAPlan(_other_format(body.get("format")))
    if body.pop("digest", None) != _digest(body):
        raise NotAPlan("it was changed after it was saved: its content and its digest differ")
    try:
        return _plan(body)
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError) as fault:
        raise NotAPlan("it is not complete") from fault


def departures(
    saved: SavedPlan, now: Plan, chosen: Iterable[PlannedJob], *, tolerance: Decimal, tried: bool = False
) -> list[Departure]:
    """Every way in which the present is not what was agreed to; empty when the plan may be applied.

    Args:
        saved: what was agreed to.
        now: the plan of everything, as of now.
        chosen: what of it the saved plan's own selection chooses now.
        tolerance: how far a job's price may rise, as a share of it (0.05: five per cent).
        tried: whether what the lock file brings was tried: what it could not bring would have to be paid for.
    """
    whole = [("project", saved.project, now.project), ("provider", saved.provider, now.provider)]
    whole += [("account's side", saved.namespace, now.namespace)]
    found = [Departure("", what, old, new) for what, old, new in whole if old != new]
    if found:
        return found  # of another project nothing else can be compared
    present = {planned.job.id: planned for planned in now.jobs}
    for job in saved.jobs:
        found += _of_job(job, present.get(job.id), now.output_dir, tolerance)
    if tried:
        found += _not_brought(saved, present)
    agreed = {job.id for job in saved.jobs}
    fingerprints = {job.fingerprint for job in saved.jobs}
    for planned in chosen:
        new = planned.action in (Action.RENDER, Action.ADOPT) and planned.fingerprint not in fingerprints
        if new and planned.job.id not in agreed:
            found.append(Departure(planned.job.id, "job", "not in the plan", _would(planned), planned.job.place))
    return found


def _not_brought(saved: SavedPlan, present: Mapping[str, PlannedJob]) -> list[Departure]:
    jobs = [(job, present.get(job.id)) for job in saved.jobs if job.locked]
    return [
        Departure(job.id, "job", "to fetch by the lock file, for nothing", _would(planned), planned.job.place)
        for job, planned in jobs
        if planned is not None and planned.action is Action.RENDER and planned.fingerprint == job.fingerprint
    ]


def _would(planned: PlannedJob) -> str:
    if planned.action is Action.ADOPT:
        return planned.reasons[0].text if planned.is_promised else "to share another job's result"
    return f"to render, about {usd_text(planned.estimate_usd)}"


def _of_job(job: SavedJob, planned: PlannedJob | None, output_dir: str, tolerance: Decimal) -> list[Departure]:
    if planned is None:
        return [Departure(job.id, "job", "to render", "no longer in the shot list")]
    found = []
    if planned.fingerprint != job.fingerprint:
        found += _edits(job, planned)
    paths = (("output", job.output, planned.job.output), ("final", job.final, planned.job.final))
    for what, old, path in paths:
        new = f"{output_dir}/{path}"
        if new != old:
            found.append(Departure(job.id, what, old, new, planned.job.place))
    if planned.fingerprint == job.fingerprint and planned.action in (Action.RENDER, Action.ADOPT) and not job.locked:
        found += _price_rise(job, planned, tolerance)
    return found


def _edits(job: SavedJob, planned: PlannedJob) -> list[Departure]:
    """What of the request changed, each where it is written now."""
    before, after = job.request, _request(planned.manifest_json)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    changes = [Difference(name, before.get(name), after.get(name)) for name in names]
    found = []
    for change in changes:
        place = place_of(planned.job, change.field)
        found.append(Departure(job.id, change.field, _shown(change.old), _shown(change.new), place))
    old, new = f"{job.fingerprint[:12]}…", f"{planned.fingerprint[:12]}…"
    return found or [Departure(job.id, "fingerprint", old, new, planned.job.place)]


def _price_rise(job: SavedJob, planned: PlannedJob, tolerance: Decimal) -> list[Departure]:
    old, new = job.estimate_usd, planned.estimate_usd
    if old == new or (old is not None and new is not None and new <= old * (1 + tolerance)):
        return []
    return [Departure(job.id, "price", usd_text(old), usd_text(new))]


def _shown(value: object) -> str:
    if value is None:
        return "default"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return f"{text[:19]}…" if text.startswith("sha256:") else text


def _saved(planned: PlannedJob, output_dir: str) -> SavedJob:
    return SavedJob(
        id=planned.job.id,
        fingerprint=planned.fingerprint,
        output=f"{output_dir}/{planned.job.output}",
        final=f"{output_dir}/{planned.job.final}",
        estimate_usd=planned.estimate_usd,
        shares=planned.action is Action.ADOPT and not planned.is_promised,
        request=_request(planned.manifest_json),
        locked=planned.is_promised,
    )


def _request(manifest: str) -> dict[str, Any]:
    """The manifest's fields without prompts and addresses: a link may be secret, and a plan is passed around."""
    fields = dict(Manifest(manifest).entries)
    for name in ("image", "video", "prompt"):
        value = fields.get(name)
        if isinstance(value, str) and not value.startswith("sha256:"):
            fields[name] = f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    return fields


def _ceiling(jobs: Sequence[PlannedJob]) -> Decimal | None:
    """What the jobs cost at most, each in whole credits: held amounts are rounded up one by one."""
    most = [p.up_to_usd for p in jobs if p.action is Action.RENDER]
    return total_usd(None if usd is None else usd_of(credits_of(usd)) for usd in most)


def _price(price: Price) -> dict[str, Any]:
    return {
        "model": price.model,
        "usd_per_second": money(price.usd_per_second),
        "usd_fixed": money(price.usd_fixed),
        "as_of": price.as_of,
    }


def _job_document(job: SavedJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "fingerprint": job.fingerprint,
        "output": job.output,
        "final": job.final,
        "estimate_usd": money(job.estimate_usd),
        "shares": job.shares,
        "request": dict(job.request),
        **({"locked": True} if job.locked else {}),
    }


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _body(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise NotAPlan("it is not a saved plan") from fault
    if not isinstance(body, dict):
        raise NotAPlan("it is not a saved plan")
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of two values a reader and the digest might see different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _other_format(name: object) -> str:
    if isinstance(name, str) and name.startswith("kling-render.saved-plan/"):
        return "it was saved by a newer version of kling-render"
    return "it is not a saved plan"


def _plan(body: Mapping[str, Any]) -> SavedPlan:
    return SavedPlan(
        tool_version=str(body["tool_version"]),
        made_at=str(body["made_at"]),
        project=str(body["project"]),
        provider=str(body["provider"]),
        namespace=str(body["namespace"]),
        selectors=tuple(map(str, body["selectors"])),
        pilot=bool(body["pilot"]),
        prices=tuple(dict(price) for price in body["prices"]),
        ceiling_usd=_amount(body["ceiling_usd"]),
        jobs=tuple(_job(job) for job in body["jobs"]),
    )


def _job(job: Mapping[str, Any]) -> SavedJob:
    return SavedJob(
        id=str(job["id"]),
        fingerprint=str(job["fingerprint"]),
        output=str(job["output"]),
        final=str(job["final"]),
        estimate_usd=_amount(job["estimate_usd"]),
        shares=bool(job["shares"]),
        request=dict(job["request"]),
        locked=bool(job.get("locked", False)),
    )


def _amount(text: object) -> Decimal | None:
    if text is None:
        return None
    amount = Decimal(str(text))
    if not amount.is_finite() or amount < 0:
        raise ValueError("not an amount")
    return amount
