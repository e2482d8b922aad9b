"""The plan on a terminal: the same facts and words as the plain lines, with tables and bars. Needs no colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kling_render.cli.cells import cut_middle
from kling_render.cli.job_words import one_line
from kling_render.planning.prices import total_usd
from kling_render.planning.records import Action, Plan, PlannedJob
from kling_render.planning.text import (
    GROUPS,
    LISTED,
    action_counts,
    action_words,
    cause_text,
    cost_text,
    costly_groups,
    dearest,
    dearest_jobs,
    jobs_word,
    length_text,
    money_lines,
    render_kinds,
    rest_text,
    usd_text,
    why_text,
)

GROUPS_LISTED = 12
"""Shots (characters, motions) with a bar of their own; `-v` shows all."""

_FACTS_WIDTH = 4 + 14 + 7 + 9 + 2
"""Columns of a job's line that its id and reason cannot have."""
_NARROW = 60
"""Columns below which a job takes two lines, and bars have no room."""
_REASON_WIDTH = 24
"""Columns below which a reason does not stand beside its job."""

#: Colours that stay apart for colour-blind eyes, each with a symbol and its word beside it.
_STYLES: Mapping[Action, tuple[str, str, str]] = {
    Action.RENDER: ("▶", ">", "bold blue"),
    Action.RESTORE: ("↺", "<", "cyan"),
    Action.RESUME: ("↓", "v", "cyan"),
    Action.ADOPT: ("≈", "~", "cyan"),
    Action.BLOCKED: ("■", "#", "bold yellow"),
    Action.PINNED: ("*", "*", "magenta"),
    Action.UP_TO_DATE: ("=", "=", "dim"),
}


def print_plan(console: Console, plan: Plan, verbose: bool = False) -> None:
    """Print the plan; `verbose` lists every job, group and stale output."""
    console.print(_line(plan.project, "bold"), _line(f"{jobs_word(plan.totals.jobs)}, provider {plan.provider}"))
    _counts(console, plan)
    for line in money_lines(plan):
        label, _, text = line.partition(": ")
        console.print(Text.assemble((f"{label}: ", "dim"), (one_line(text), "bold" if label == "cost" else "")))
    _causes(console, plan.jobs, verbose=verbose)
    _costs(console, plan.jobs, verbose=verbose)
    _jobs(console, plan.jobs, verbose=verbose)
    _stale(console, plan.stale_outputs, verbose=verbose)


def _line(text: str, style: str = "") -> Text:
    return Text(one_line(text), style)


def _counts(console: Console, plan: Plan) -> None:
    """How many jobs of each action, with bars of their share."""
    table, words = _grid("right", "left", "left"), action_words(plan.jobs)
    bar = _bar_width(console)
    for action, count in action_counts(plan.jobs):
        symbol, style = action_look(console, action)
        share = _bar(console, Decimal(count), Decimal(plan.totals.jobs), bar)
        table.add_row(Text(str(count), "bold"), Text(f"{symbol} {words[action]}", style), Text(share, style))
        if action is Action.RENDER:
            table.add_row("", Text(f"  {render_kinds(plan.jobs)}", "dim"))
    console.print(Padding(table, (0, 0, 0, 2)))


def _causes(console: Console, jobs: Sequence[PlannedJob], *, verbose: bool) -> None:
    """Which edit causes which cost."""
    groups = costly_groups(jobs, why_text)
    names = {why: _cause(members[0]) for why, members in groups.items()}
    _bars(console, "why", groups, names, verbose=verbose)


def _cause(planned: PlannedJob) -> Text:
    """Where the edit is, and what was edited."""
    edit, what = map(one_line, cause_text(planned))
    return Text.assemble((edit, "bold" if what else ""), (f"  {what}" if what else "", "dim"))


def _costs(console: Console, jobs: Sequence[PlannedJob], *, verbose: bool) -> None:
    """What each shot, character and motion costs; silent where there is only one."""
    for name, of in GROUPS:
        groups = costly_groups(jobs, of)
        if len(groups) > 1:
            _bars(console, f"by {name}", groups, {name: _line(name) for name in groups}, verbose=verbose)


def _bars(
    console: Console,
    title: str,
    groups: Mapping[str, list[PlannedJob]],
    names: Mapping[str, Text],
    *,
    verbose: bool,
) -> None:
    """A heading and a line per group: name, jobs, cost, and its share of the dearest as a bar."""
    if not groups:
        return
    _heading(console, title)
    ranked = dearest(groups)
    costs = {name: total_usd(job.estimate_usd for job in members) for name, members in ranked}
    unknown = None in costs.values()
    weights = {name: Decimal(len(members)) if unknown else costs[name] or Decimal(0) for name, members in ranked}
    table, width = _grid("left", "right", "right", "left"), _bar_width(console)
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    about = "" if console.width < _NARROW else "about "
    listed = ranked if verbose else ranked[:GROUPS_LISTED]
    for name, members in listed:
        bar = Text(_bar(console, weights[name], max(weights.values()), width), "blue")
        table.add_row(names[name], jobs_word(len(members)), f"{about}{usd_text(costs[name])}", bar)
    console.print(Padding(table, (0, 0, 0, 2)))
    if len(listed) < len(ranked):
        console.print(Text(f"  … and {rest_text([members for _, members in ranked[len(listed) :]])}", "dim"))


def _jobs(console: Console, jobs: Sequence[PlannedJob], *, verbose: bool) -> None:
    """The jobs with something to say, the first ones of many."""
    shown = [planned for planned in jobs if verbose or planned.action is not Action.UP_TO_DATE]
    if not shown:
        return
    _heading(console, "jobs")
    listed = shown if verbose else shown[:LISTED]
    _job_table(console, listed)
    if len(listed) < len(shown):
        console.print(Text(f"  … and {len(shown) - len(listed)} more (-v lists them)", "dim"))
        if top := dearest_jobs(jobs):
            _heading(console, "dearest")
            _job_table(console, top)


def _job_table(console: Console, jobs: Sequence[PlannedJob]) -> None:
    """A line per job. The reason stands behind it; where the line is too short, above all jobs that share it."""
    if console.width < _NARROW:
        _narrow_jobs(console, jobs)
        return
    longest = max(cell_len(planned.job.id) for planned in jobs)
    beside = console.width - _FACTS_WIDTH - longest >= _REASON_WIDTH
    room = min(longest, console.width - _FACTS_WIDTH)
    for why, members in groupby(jobs, why_text):
        table = _grid("left", "left", "right", "right", *(["left"] if beside else []))
        for column, width in zip(table.columns, (room, 12, 5, 7), strict=False):
            column.min_width = width
        if beside:
            table.columns[4].no_wrap, table.columns[4].overflow = False, "fold"
        else:
            console.print(Padding(_line(f"{why}:", "dim"), (0, 0, 0, 2)))
        for number, planned in enumerate(members):
            ditto = "″" if number and not console.options.ascii_only else one_line(why)
            table.add_row(*_facts(console, planned, room), *([Text(ditto, "dim")] if beside else []))
        console.print(Padding(table, (0, 0, 0, 2 if beside else 4)))


def _narrow_jobs(console: Console, jobs: Sequence[PlannedJob]) -> None:
    """Two lines per job: what it is, and what is done for how much."""
    for why, members in groupby(jobs, why_text):
        if why:
            console.print(Padding(_line(f"{why}:", "dim"), (0, 0, 0, 2)))
        for planned in members:
            _, *facts = _facts(console, planned, 0)
            console.print(Padding(Text(cut_middle(planned.job.id, console.width - 4)), (0, 0, 0, 4)))
            console.print(Padding(Text("  ").join(facts), (0, 0, 0, 6)))


def _facts(console: Console, planned: PlannedJob, room: int) -> tuple[Text, Text, Text, Text]:
    """Id, action, length and cost of a job."""
    symbol, style = action_look(console, planned.action)
    return (
        Text(cut_middle(planned.job.id, room)),
        Text(f"{symbol} {planned.action.value}", style),
        Text(length_text(planned), "dim"),
        Text(cost_text(planned), "bold" if planned.action is Action.RENDER else "dim"),
    )


def _stale(console: Console, paths: Sequence[str], *, verbose: bool) -> None:
    """Files whose job no longer exists."""
    if not paths:
        return
    _heading(console, f"stale outputs ({len(paths)}; `render --prune` moves them to the trash)")
    listed = paths if verbose else paths[:GROUPS_LISTED]
    for path in listed:
        console.print(Padding(_line(path), (0, 0, 0, 2)))
    if len(listed) < len(paths):
        console.print(Text(f"  … and {len(paths) - len(listed)} more", "dim"))


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, "bold"))


def _grid(*sides: str) -> Table:
    """A table without lines; columns two blanks apart."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for side in sides:
        table.add_column(justify="right" if side == "right" else "left", no_wrap=True)
    return table


def action_look(console: Console, action: Action) -> tuple[str, str]:
    """An action's symbol and style."""
    symbol, plain, style = _STYLES[action]
    return (plain if console.options.ascii_only else symbol), style


def _bar_width(console: Console) -> int:
    """Names and amounts come first."""
    return 0 if console.width < _NARROW else max(min(console.width - 58, 30), 6)


def _bar(console: Console, part: Decimal, whole: Decimal, width: int) -> str:
    """A bar for a share; whatever is there at all shows."""
    if not whole or not part or not width:
        return ""
    cells = max(int(part * width / whole), 1)
    return ("#" if console.options.ascii_only else "■") * cells
