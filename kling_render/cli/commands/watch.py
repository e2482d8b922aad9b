"""`kling-render watch`."""

from __future__ import annotations

from typing import Any

import click

from kling_render.cli.invocation import Invocation, global_options
from kling_render.cli.types import Duration, Usd


@click.command("watch")
@click.argument("select", nargs=-1)
@click.option(
    "-y", "--yes", is_flag=True, help="Spend within the allowance from the start; in a pipe a cap is needed too."
)
@click.option("--max-usd", type=Usd(), metavar="N", help="Spend at most N dollars in this session.")
@click.option("-j", "--jobs", metavar="N", help="How many jobs run at once (default 8; fewer after 429).")
@click.option("--poll", type=Duration(), metavar="TIME", help="Look at the files every TIME, for network drives (2s).")
@click.option("--skip-invalid", is_flag=True, help="Leave out jobs whose inputs break a rule, and render the rest.")
@click.option("--without-log", is_flag=True, help="Pay even when the account's log cannot be read first.")
@click.option("--events", metavar="FILE", help="JSON lines while it runs; - for stdout.")
@global_options
def command(invocation: Invocation, select: tuple[str, ...], **given: Any) -> int:
    """Render, then again at every save of the shot list, its templates, images and clips.

    A save is planned once it has settled. What costs nothing happens at once; what costs is rendered after a moment in
    which it can be held back, as long as the allowance covers it (`watch:` in the shot list, watch_* in the settings),
    and waits for a key where it does not. What is to be paid for at the start always waits for r, unless --yes.

    \b
    Keys: r render what waits, c hold back, p plan, e explain, w what is watched, o open the folder, q quit
    (what runs is resumable).

    \b
    Examples:
      kling-render watch
      kling-render watch --provider previz      (free rehearsals at every save)
      kling-render watch sc010 --max-usd 5
      kling-render watch --yes --max-usd 20 --events watch.jsonl
    """
    from kling_render.cli.watching import watch

    return watch(invocation, select, given)
