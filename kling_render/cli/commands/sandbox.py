"""`kling-render sandbox`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kling_render.cli.invocation import Invocation, global_options


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=0, help="Port (default: any free one).")
@click.option("--latency", "generation_seconds", metavar="S", help="Seconds a generation takes (default 2).")
@click.option("--price", "price_per_s", metavar="USD", help="Price of a second of output (default 0.112).")
@click.option("--balance", "balance_usd", metavar="USD", help="What a new account owns (default 100).")
@click.option("--answers", type=click.Choice(["rehearsal", "canned", "echo"]), default="rehearsal", show_default=True,
              help="Where the videos come from: drawn, a plain clip, or the uploaded clip.")  # fmt: skip
@click.option("--fault", multiple=True, metavar="WHERE:KIND[,field=value…]", help="A fault on request (repeatable).")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other setting (docs/sandbox.md).")
@click.option("--seed", type=int, help="Fix ids and chances.")
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR", help="Keep the books in DIR over restarts.")
@global_options
def command(invocation: Invocation, **given: Any) -> int:
    """Run a local stand-in for the API: same endpoints, real videos, prices, a balance, and faults on request.

    Point the tool at it with AIMLAPI_BASE_URL=<the printed URL> and any AIMLAPI_KEY. Nothing here costs money.

    \b
    Examples:
      kling-render sandbox
      kling-render sandbox --latency 0 --answers echo --fault submit:lost,probability=0.1
    """
    from kling_render.errors import UsageError
    from kling_render.sandbox.config import SandboxConfig
    from kling_render.sandbox.faults import parse_rule
    from kling_render.sandbox.server import serve

    changes: dict[str, Any] = {name: given[name] for name in ("generation_seconds", "price_per_s", "balance_usd")}
    for text in given["settings"]:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, not '{text}'", help="docs/sandbox.md lists the settings")
        changes[name.replace("-", "_")] = value
    config = SandboxConfig(
        host=given["host"],
        port=given["port"],
        seed=given["seed"],
        answers=given["answers"],
        state=given["state"],
        faults=tuple(parse_rule(text) for text in given["fault"]),
    ).changed({name: value for name, value in changes.items() if value is not None})

    def ready(url: str) -> None:
        if invocation.as_json:
            invocation.document({"format": "kling-render.sandbox/1", "base_url": url})
        else:
            click.echo(url)
        invocation.say(f"In another terminal: export AIMLAPI_BASE_URL={url} AIMLAPI_KEY=sandbox")
        invocation.say("Ctrl-C ends it. Nothing here costs money.")

    serve(config, ready)
    return 0
