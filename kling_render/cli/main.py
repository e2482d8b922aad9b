"""The command group, loaded lazily, and the one place where errors become text and exit codes."""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from kling_render import __version__
from kling_render.cli.invocation import Invocation, global_options
from kling_render.errors import InputProblems, KlingRenderError, StoreFault

#: What a full or failing disk says; it happens to outputs that are redirected into a file too.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})
_DISK_HELP = "make room on the disk, then run the command again; nothing paid is lost"

#: Command → what it does, in the order of the help page. The module has the command's name.
COMMANDS = {
    "init": "make a small working project",
    "check": "find everything wrong with the shot list and its media, at once",
    "fix": "write corrected copies of images and clips",
    "plan": "show what would be rendered, why, and what it costs",
    "render": "bring the output tree up to date",
    "watch": "render, then again at every save, within an allowance",
    "status": "show where every job stands, and the money",
    "explain": "say why a job is up to date or not, field by field",
    "pull": "fetch everything that can be had without paying",
    "resolve": "answer what only you can answer: was it paid, is it lost?",
    "retry": "render failed jobs again",
    "adopt": "make an existing generation or video a job's result",
    "keep": "declare an edit cosmetic: results stay as they are",
    "audit": "compare what was estimated, reported and booked",
    "verify": "check the store, and every stored byte with --read-data",
    "gc": "list what the store could do without, and move it to a trash",
    "export": "write contact sheets: every result on a page, and as a picture",
    "store": "export the whole store to one file, or import one",
    "sandbox": "run a local stand-in for the API",
    "doctor": "check key, balance, price, store and disk",
    "config": "show every setting, its value and where it came from",
}


class Commands(click.Group):
    """Imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"kling_render.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a mistyped command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from kling_render.errors import did_you_mean

            ctx.fail(f"no such command '{args[0]}'{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="kling-render %(version)s")
@global_options
def cli(_invocation: Invocation) -> None:
    """Render batches of AI video from a YAML shot list: planned, cached, resumable.

    Nothing is paid twice by accident, and nothing paid for is lost.

    \b
    Examples:
      kling-render init my-film && cd my-film && kling-render render
      kling-render plan
      kling-render render --max-usd 10
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Never shows a traceback."""
    try:
        return _run(arguments)
    except OSError:  # not even the error could be shown
        return StoreFault.exit_code


def _run(arguments: Sequence[str]) -> int:
    invocation = Invocation()
    try:
        outcome = cli.main(list(arguments), "kling-render", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted", err=True)
        return 130
    except click.ClickException as error:
        return _usage(invocation, error)
    except KlingRenderError as error:
        return _expected(invocation, error)
    except (BrokenPipeError, SystemExit):  # click makes the one to the other
        # Whoever read our output has gone; that is no fault of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _unforeseen(invocation, error, arguments)
    return outcome if isinstance(outcome, int) else 0


def _unforeseen(invocation: Invocation, error: Exception, arguments: Sequence[str]) -> int:
    if isinstance(error, OSError) and error.errno in _DISK:
        return _expected(invocation, StoreFault(f"cannot write: {error.strerror}", help=_DISK_HELP))
    from kling_render.cli.crash import report_crash

    return report_crash(error, arguments)


def _usage(invocation: Invocation, error: click.ClickException) -> int:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "kling-render"
    invocation.command = command.partition(" ")[2] or invocation.command
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and not message.endswith("?"):
        message = message.rstrip(".")
    help_ = f"`{command} --help` shows what it takes"
    _show(
        invocation, [{"code": "usage", "message": message, "file": None, "line": None, "column": None, "help": help_}]
    )
    return 2


def _expected(invocation: Invocation, error: KlingRenderError) -> int:
    from kling_render.cli.diagnostics import as_json, render_text

    if isinstance(error, InputProblems):
        if _wants_json(invocation):
            _print_errors(invocation, [e for e in as_json(error.diagnostics) if e["severity"] == "error"])
        else:
            click.echo(render_text(error.diagnostics, invocation.color(sys.stderr)), err=True)
    else:
        entry = {"code": error.code or type(error).__name__, "message": error.message}
        _show(invocation, [entry | {"file": None, "line": None, "column": None, "help": error.help}])
    return error.exit_code


def _wants_json(invocation: Invocation) -> bool:
    return invocation.as_json or "--json" in sys.argv


def _show(invocation: Invocation, errors: list[dict[str, Any]]) -> None:
    if _wants_json(invocation):
        _print_errors(invocation, errors)
        return
    from kling_render.cli.diagnostics import escaped

    for error in errors:
        click.echo(f"error: {escaped(error['message'])}", err=True)
        if error["help"]:
            click.echo(f"  help: {escaped(error['help'])}", err=True)


def _print_errors(invocation: Invocation, errors: list[dict[str, Any]]) -> None:
    command = invocation.command.partition(" ")[0]
    command = command if command in COMMANDS else "error"
    click.echo(json.dumps({"format": f"kling-render.{command}/1", "errors": errors}, indent=2, ensure_ascii=False))
