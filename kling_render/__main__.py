"""The entry point. Answers `--version` before it imports anything heavy."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        from kling_render import __version__

        sys.stdout.write(f"kling-render {__version__}\n")
        return
    from kling_render.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
