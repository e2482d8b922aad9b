"""`kling-render config`."""

from __future__ import annotations

import click

from kling_render.cli.invocation import Invocation, global_options


@click.command("config")
@global_options
def command(invocation: Invocation) -> int:
    """Show every setting, its value and where it came from. The key is never shown.

    \b
    Settings, weakest first: defaults, the user's config.toml, the environment, flags.
    """
    from kling_render.config import describe

    rows = describe(invocation.settings())
    if invocation.as_json:
        settings = [{"name": name, "value": value, "from": origin} for name, value, origin in rows]
        invocation.document({"format": "kling-render.config/1", "settings": settings})
        return 0
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}".rstrip())
    return 0
