"""A clean room for every test: no real home, no key from outside, no network beyond this machine."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

_OURS = ("AIMLAPI", "AIML_API", "KLING_RENDER", "XDG_")
_FOREIGN = ("NO_COLOR", "FORCE_COLOR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "NETRC")


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the developer's machine is set to must not change an answer."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(_OURS) or name.upper() in _FOREIGN:
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        yield


class NetworkUsed(BaseException):
    """A test tried to leave the machine; not an `Exception`, so that no code under test takes it for a bad line."""


def _only_loopback(event: str, args: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host = str(args[1][0]).split("%")[0]
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if not here:
        raise NetworkUsed(f"a test connects to {args[1]!r}")


sys.addaudithook(_only_loopback)
