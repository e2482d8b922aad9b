"""`python -m kling_render.sandbox`: the server as a process of its own, mostly for tests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from kling_render.errors import KlingRenderError
from kling_render.sandbox.config import SandboxConfig, WorldSettings
from kling_render.sandbox.faults import parse_rule
from kling_render.sandbox.server import serve


def parser() -> argparse.ArgumentParser:
    """Every setting is an option of the same name."""
    made = argparse.ArgumentParser(prog="python -m kling_render.sandbox", description=__doc__, allow_abbrev=False)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0)
    made.add_argument("--seed", type=int)
    made.add_argument("--answers", choices=("rehearsal", "canned", "echo"), default="rehearsal")
    made.add_argument("--answer-edge", type=int, default=360)
    made.add_argument("--state", type=Path)
    made.add_argument("--fault", action="append", default=[], metavar="WHERE:KIND[,field=value…]")
    made.add_argument("--key", action="append", default=[], metavar="KEY[=ACCOUNT]")
    made.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input is closed")
    for setting in fields(WorldSettings):
        if setting.name != "keys":
            made.add_argument(f"--{setting.name.replace('_', '-')}", metavar="VALUE")
    return made


def config_of(given: argparse.Namespace) -> SandboxConfig:
    """The settings of a command line.

    Raises:
        UsageError: a value of the wrong form.
    """
    config = SandboxConfig(
        host=given.host,
        port=given.port,
        seed=given.seed,
        answers=given.answers,
        answer_edge=given.answer_edge,
        state=given.state,
        faults=tuple(parse_rule(text) for text in given.fault),
    )
    named = {setting.name: getattr(given, setting.name, None) for setting in fields(WorldSettings)}
    changes = {name: value for name, value in named.items() if value is not None}
    return config.changed(changes | ({"keys": given.key} if given.key else {}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the first line on stdout is `listening URL`."""
    given = parser().parse_args(arguments)
    try:
        serve(
            config_of(given),
            lambda url: print(f"listening {url}", flush=True),
            until_stdin_ends=given.until_stdin_ends,
        )
    except KlingRenderError as problem:
        sys.stderr.write(f"error: {problem.message}\n" + (f"help: {problem.help}\n" if problem.help else ""))
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
