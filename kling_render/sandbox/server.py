"""The server process around a world. Web libraries are imported when it starts, not before."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kling_render.errors import UsageError
from kling_render.sandbox.config import SandboxConfig


def serve(config: SandboxConfig, on_ready: Callable[[str], None], *, until_stdin_ends: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; prints nothing. `on_ready` gets the base URL once connections are accepted.

    Raises:
        UsageError: the address cannot be used.
        StoreFault: the state's folder cannot be used.
    """
    _allow_many_connections()
    listener = _listen(config.host, config.port)
    with contextlib.closing(listener), _folder(config) as folder:
        asyncio.run(_serve(config, listener, folder, on_ready, until_stdin_ends))


def _allow_many_connections() -> None:
    """A thousand callers at once need more than the usual 1,024 open files."""
    if sys.platform == "win32":
        return
    import resource

    wanted, (soft, hard) = 8192, resource.getrlimit(resource.RLIMIT_NOFILE)
    room = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < room:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host}:{port}: {reason}", help="choose another port, or 0 for any"
        ) from None
    return listener


@contextlib.contextmanager
def _folder(config: SandboxConfig) -> Iterator[Path]:
    if config.state is not None:
        yield config.state
        return
    folder = Path(tempfile.mkdtemp(prefix="kling-render-sandbox-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(
    config: SandboxConfig,
    listener: socket.socket,
    folder: Path,
    on_ready: Callable[[str], None],
    until_stdin_ends: bool,
) -> None:
    from uvicorn import Config, Server

    from kling_render.sandbox.app import build_app
    from kling_render.sandbox.keeping import Keeping
    from kling_render.sandbox.results import Results
    from kling_render.sandbox.spool import Spool
    from kling_render.sandbox.transport import CuttableProtocol
    from kling_render.sandbox.world import World, no_journal

    keeping = Keeping(folder) if config.state is not None else None
    world = World(config, secrets.randbits(64) if config.seed is None else config.seed, _journal(keeping, no_journal))
    _wake(world, config, keeping)
    spool = Spool(folder / "uploads")
    results = Results(config, spool, folder / "results")

    def now() -> float:
        return time.time() + world.settings.clock_offset_s

    app = build_app(world, now, spool, results, keeping.commit if keeping else _nothing)

    class QuietServer(Server):
        """Leaves the signals to us and tells when it is ready."""

        def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override] # same use
            return contextlib.nullcontext()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready(_url(listener))

    server = QuietServer(
        Config(
            app,
            http=CuttableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    if until_stdin_ends:
        _stop_with_stdin(server)
    try:
        with _stopping_on_signals(server):
            await server.serve([listener])
    finally:
        await results.close()
        if keeping is not None:
            keeping.close()


def _nothing() -> None:
    pass


def _journal(keeping: Any, otherwise: Any) -> Any:
    return keeping.write if keeping is not None else otherwise


def _wake(world: Any, config: SandboxConfig, keeping: Any) -> None:
    """Take up the kept state; the faults in force are a part of it."""
    kept = keeping.records() if keeping is not None else {}
    world.restore(kept)
    if not kept:
        for rule in config.faults:
            world.add_fault(rule)
    if keeping is not None:
        keeping.commit()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _stopping_on_signals(server: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_with_stdin(server: Any) -> None:
    """End when the starting process does: its end of our stdin closes with it, however it dies."""

    def watch() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
