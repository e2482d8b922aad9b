"""A server that answers as a test says: what no real one should, and what the sandbox has no fault for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer; a body that is no text is sent as JSON."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = ""

    @property
    def data(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class Scripted:
    """Listens on loopback; `asked` are the paths of the requests, in order.

    `reply` is called with the number of the request, from 1. None: it never answers.
    """

    def __init__(self, reply: Callable[[int], Reply | None]) -> None:
        self.asked: list[str] = []
        #: Set when a whole request has arrived.
        self.arrived = threading.Event()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(reply))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self, reply: Callable[[int], Reply | None]) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.asked.append(self.path)
                owner.arrived.set()
                said = reply(len(owner.asked))
                if said is None:
                    owner._over.wait(30)
                    self.close_connection = True
                    return
                self.send_response_only(said.status)  # no Date of its own
                for name, value in {"Content-Length": str(len(said.data)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.data)

            do_POST = do_GET  # noqa: N815 - the name that the server looks for

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
