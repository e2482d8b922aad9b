"""The plan as plain lines, for pipes and logs: counts, what causes which cost, who costs what, the jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from kling_render.planning.eta import Eta
from kling_render.planning.manifest import decimal_text
from kling_render.planning.plan import totals
from kling_render.planning.prices import Price, total_usd
from kling_render.planning.records import Action, NoteCode, Plan, PlannedJob, ReasonCode, Totals

LISTED = 40
"""Jobs with work to do that are listed one by one; more are summed up per shot."""

TOP = 5
"""The dearest jobs that are named where jobs are summed up."""

_EDITS = frozenset(
    {ReasonCode.IMAGE_CHANGED, ReasonCode.CLIP_CHANGED, ReasonCode.TRIM_CHANGED, ReasonCode.PROMPT_CHANGED}
    | {ReasonCode.MODEL_CHANGED, ReasonCode.OPTION_CHANGED}
)

ACTION_WORDS = {
    Action.RENDER: "to render",
    Action.RESTORE: "to restore from the store",
    Action.RESUME: "to go on with",
    Action.ADOPT: "to share another job's result",
    Action.BLOCKED: "blocked",
    Action.PINNED: "picked and edited since",
    Action.UP_TO_DATE: "up to date",
}

#: Control and direction characters of foreign text (file names, messages) become visible escapes.
_UNSAFE = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (
        *range(32),
        *range(127, 160),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0x2028,
        0x2029,
        *range(0xD800, 0xE000),
    )
}


def plan_text(plan: Plan, *, verbose: bool = False) -> str:
    """The plan as text, one fact per line, lines never wrapped; ends with a newline."""
    sections = [
        _head(plan),
        _causes(plan.jobs),
        *(_costs(plan.jobs, name, of) for name, of in GROUPS),
        _jobs(plan.jobs, verbose=verbose),
        _stale(plan.stale_outputs, verbose=verbose),
    ]
    blocks = ("\n".join(map(visible, section)) for section in map(list, sections))
    return "\n\n".join(block for block in blocks if block) + "\n"


def visible(text: str) -> str:
    """Foreign text for one line of a terminal: control and direction characters become visible escapes."""
    return text.translate(_UNSAFE)


def usd_text(amount: Decimal | None) -> str:
    """An amount for people: at least two digits after the point, at most four; `?` when unknown."""
    if amount is None:
        return "$?"
    text = decimal_text(amount.quantize(Decimal("0.0001"), ROUND_HALF_UP))
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


def rate_text(price: Price) -> str:
    """`$0.112 per second + $0.05 per render`."""
    rates = [f"{usd_text(price.usd_per_second)} per second"] if price.usd_per_second is not None else []
    rates += [f"{usd_text(price.usd_fixed)} per render"] if price.usd_fixed is not None else []
    return " + ".join(rates)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def day_text(moment: str) -> str:
    """The day of an ISO 8601 time, as `21 Nov 2026`; what is none stays as it is."""
    year, month, day = (*moment[:10].split("-"), "", "")[:3]
    if not (len(year) == 4 and (year + month + day).isdecimal() and 1 <= int(month or 0) <= 12 and day):
        return moment
    return f"{int(day)} {_MONTHS[int(month) - 1]} {year}"


#: What the costs are broken down by, and how it is read off a job.
GROUPS: tuple[tuple[str, Callable[[PlannedJob], str]], ...] = (
    ("shot", lambda planned: planned.job.shot),
    ("character", lambda planned: planned.job.character),
    ("motion", lambda planned: planned.job.motion),
)


def _head(plan: Plan) -> Iterator[str]:
    """Counts, the bill, the price and its date."""
    sums = plan.totals
    yield f"{plan.project}: {jobs_word(sums.jobs)}, provider {plan.provider}"
    kinds = render_kinds(plan.jobs)
    words = {**action_words(plan.jobs), Action.RENDER: f"{ACTION_WORDS[Action.RENDER]}: {kinds}"}
    yield from _table((f"  {count}", words[action]) for action, count in action_counts(plan.jobs))
    yield from money_lines(plan)


def action_counts(jobs: Sequence[PlannedJob]) -> list[tuple[Action, int]]:
    """How many jobs of each action there are, what spends first; absent actions are left out."""
    actions = [job.action for job in jobs]
    return [(action, count) for action in ACTION_WORDS if (count := actions.count(action))]


def action_words(jobs: Sequence[PlannedJob]) -> dict[Action, str]:
    """`ACTION_WORDS` for these jobs: what the lock file brings is no other job's result."""
    adopted = [planned.is_promised for planned in jobs if planned.action is Action.ADOPT]
    if not any(adopted):
        return ACTION_WORDS
    rest = f" ({adopted.count(False)} more share a result)" if not all(adopted) else ""
    return {**ACTION_WORDS, Action.ADOPT: f"to fetch by the lock file, paid before{rest}"}


def render_kinds(jobs: Sequence[PlannedJob]) -> str:
    """Why jobs are rendered, in a few words: `4 new, 2 changed, 1 again after a failure`."""
    counts = {"new": 0, "changed": 0, "again after a failure": 0}
    for planned in jobs:
        if planned.action is Action.RENDER:
            codes = {reason.code for reason in planned.reasons}
            again = "again after a failure" if ReasonCode.FAILED_BEFORE in codes else "new"
            counts["changed" if codes & _EDITS else again] += 1
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def money_lines(plan: Plan) -> Iterator[str]:
    """The bill, what is saved, the time, the price and its date, and what there is to say about them."""
    sums = plan.totals
    if sums.render or sums.locked:
        yield f"cost: {cost_words(sums)}"
    if sums.saved_usd:
        yield f"saved: {usd_text(sums.saved_usd)} (results that exist or are shared)"
    if plan.eta is not None:
        yield f"time: {eta_text(plan.eta)}"
    for price in plan.prices:
        if price.source != "free":
            origin = "last known, price of" if price.source == "cached" else "catalogue,"
            yield f"price: {price.model} {rate_text(price)} ({origin} {day_text(price.as_of)})"
    for note in plan.notes:
        yield f"{'warning' if note.code is NoteCode.RATE_DIFFERS else 'note'}: {note.text}"
    if sums.render and sums.estimate_usd is None:
        yield "price: not known for every job to render"


def cost_words(sums: Totals) -> str:
    """`about $1.20, up to $1.34`, and what it is if the lock file cannot bring what it names."""
    bill = f"about {usd_text(sums.estimate_usd)}, up to {usd_text(sums.up_to_usd)}" if sums.render else "nothing"
    if not sums.locked:
        return bill
    most = total_usd((sums.up_to_usd, sums.locked_up_to_usd))
    paid = f"{jobs_word(sums.locked)} paid before, as the lock file says"
    return f"{bill}; if links are dead up to {usd_text(most)} ({paid})"


def _causes(jobs: Sequence[PlannedJob]) -> Iterator[str]:
    """Which edit causes which cost; a job with two reasons counts under both together."""
    if causes := costly_groups(jobs, why_text):
        yield "why"
        ranked = [members for _, members in dearest(causes)]
        yield from _table(map(_cause, ranked[:LISTED]))
        if rest := ranked[LISTED:]:
            yield f"  … and {rest_text(rest)}"


def rest_text(groups: Sequence[Sequence[PlannedJob]]) -> str:
    """`3 more (12 jobs, about $4.03)`: what is not listed, so that the whole adds up."""
    return f"{len(groups)} more ({', '.join(_bill([planned for members in groups for planned in members]))})"


def _cause(members: Sequence[PlannedJob]) -> tuple[str, ...]:
    """An edit, how many jobs it causes, what they cost, and what was edited."""
    edit, what = cause_text(members[0])
    count, cost = _bill(members)
    return f"  {edit}", f"→ {count}", cost, what


def cause_text(planned: PlannedJob) -> tuple[str, str]:
    """Where the edits of a job are, and what was edited; without a place there is only the reason."""
    places = ", ".join(dict.fromkeys(reason.at for reason in planned.reasons if reason.at))
    texts: dict[str, list[str]] = {}
    for reason in planned.reasons:
        what, _, which = reason.text.partition(": ")
        texts.setdefault(what, []).extend([which] if which else [])
    said = "; ".join(f"{what}: {', '.join(dict.fromkeys(which))}" if which else what for what, which in texts.items())
    return (places, said) if places else (said, "")


def costly_groups(jobs: Sequence[PlannedJob], of: Callable[[PlannedJob], str]) -> dict[str, list[PlannedJob]]:
    """The jobs that cost something, by shot, by cause, …; in the order of the plan."""
    groups: dict[str, list[PlannedJob]] = {}
    for planned in jobs:
        if planned.action is Action.RENDER:
            groups.setdefault(of(planned), []).append(planned)
    return groups


def _costs(jobs: Sequence[PlannedJob], name: str, of: Callable[[PlannedJob], str]) -> Iterator[str]:
    """What each shot (character, motion) costs; silent when there is only one."""
    if len(groups := costly_groups(jobs, of)) > 1:
        yield f"by {name}"
        yield from _table((f"  {group}", *_bill(members)) for group, members in groups.items())


def _jobs(jobs: Sequence[PlannedJob], *, verbose: bool) -> Iterator[str]:
    """The jobs with something to say; when they are many, a line per shot."""
    shown = [planned for planned in jobs if verbose or planned.action is not Action.UP_TO_DATE]
    if not shown:
        return
    yield "jobs"
    if verbose or len(shown) <= LISTED:
        yield from _table(map(_job, shown))
        return
    shots: dict[str, list[PlannedJob]] = {}
    for planned in jobs:
        shots.setdefault(planned.job.shot, []).append(planned)
    yield from _table(_shot(shot, members) for shot, members in shots.items())
    yield f"  ({len(shown)} jobs; -v lists them)"
    if top := dearest_jobs(jobs):
        yield "dearest"
        yield from _table(map(_job, top))


def dearest_jobs(jobs: Sequence[PlannedJob]) -> list[PlannedJob]:
    """The jobs to render that cost most; none where all cost the same, or nobody knows."""
    known = [p for p in jobs if p.action is Action.RENDER and p.estimate_usd is not None]
    if len({p.estimate_usd for p in known}) < 2:
        return []
    return sorted(known, key=lambda p: -(p.estimate_usd or 0))[:TOP]


def _job(planned: PlannedJob) -> tuple[str, ...]:
    """A job's line: id, action, duration, cost, reason. The reason comes last because it is long."""
    cost = cost_text(planned)
    return f"  {planned.job.id}", planned.action.value, length_text(planned), cost, why_text(planned)


def length_text(planned: PlannedJob) -> str:
    """The clip's length."""
    seconds = planned.duration_s
    return "? s" if seconds is None else f"{float(seconds):.3g} s"


def cost_text(planned: PlannedJob) -> str:
    """What doing the job costs; only renders cost anything."""
    return usd_text(planned.estimate_usd) if planned.action is Action.RENDER else "-"


def _shot(shot: str, members: Sequence[PlannedJob]) -> tuple[str, ...]:
    """A shot's line: how many of each action, and the cost."""
    words = action_words(members)
    counts = ", ".join(f"{count} {words[action]}" for action, count in action_counts(members))
    return f"  {shot}", counts, f"about {usd_text(totals(members).estimate_usd)}"


def _stale(paths: Sequence[str], *, verbose: bool) -> Iterator[str]:
    """Files whose job no longer exists."""
    if paths:
        yield f"stale outputs ({len(paths)}; `render --prune` moves them to the trash)"
        yield from (f"  {path}" for path in (paths if verbose else paths[:LISTED]))
        if not verbose and len(paths) > LISTED:
            yield f"  … and {len(paths) - LISTED} more"


def why_text(planned: PlannedJob) -> str:
    """The reasons in one line, each with its place."""
    return "; ".join(f"{r.text} ({r.at})" if r.at else r.text for r in planned.reasons)


def _bill(members: Sequence[PlannedJob]) -> tuple[str, str]:
    """How many, and how much."""
    return jobs_word(len(members)), f"about {usd_text(total_usd(job.estimate_usd for job in members))}"


def dearest(groups: Mapping[str, list[PlannedJob]]) -> list[tuple[str, list[PlannedJob]]]:
    """The groups that cost most first; those with most jobs, where the cost is not known."""
    costs = {name: total_usd(job.estimate_usd for job in members) for name, members in groups.items()}
    return sorted(groups.items(), key=lambda group: (-(costs[group[0]] or 0), -len(group[1])))


def eta_text(eta: Eta) -> str:
    """`about 12 min at -j 8 (…)`."""
    pace = eta.pace
    said = f"{pace.renders} renders of your own" if pace.source == "history" else "everybody's of the last minutes"
    each = f"one takes {time_text(pace.typical_s)}, one of ten {time_text(pace.slow_s)} or more; {said}"
    return f"about {time_text(eta.seconds)} at -j {eta.at_once} ({each})"


def time_text(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 5 h`."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def jobs_word(count: int) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} job{'' if count == 1 else 's'}"


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows with aligned columns, two blanks apart, nothing after the last column."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
