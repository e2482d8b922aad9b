"""The API key as a value that does not print itself."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import NoReturn

from kling_render.errors import AccountRefused

KEY_VARIABLES = ("AIMLAPI_KEY", "AIML_API_KEY")

_USABLE = re.compile(r"[!#-&(-_a-~]{1,512}")  # printable ASCII without blanks and quotes (", ', `)


class Secret:
    """A text that shows itself as `***` everywhere; only `reveal` gives it away."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself, for the one header that carries it."""
        return self.__text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    def __hash__(self) -> int:
        return hash(self.__text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def key_from(text: str) -> Secret:
    """An API key.

    Raises:
        ValueError: it is not one (the message does not repeat it).
    """
    if not _USABLE.fullmatch(text):
        raise ValueError(f"the API key {_fault(text)}")
    return Secret(text)


def account_id(key: Secret) -> str:
    """A name for the account that pays, 16 hex: a keyed hash that does not lead back to the key.

    Attempts record it, so changing this line would make every store forget whose log proves what.
    """
    return hmac.new(b"kling-render account/1", key.reveal().encode(), hashlib.sha256).hexdigest()[:16]


def system_keyring(base_url: str) -> str | None:
    """The key that the system's keyring holds for an origin: service `kling-render`, user = the origin.

    Raises:
        AccountRefused: the keyring cannot be asked.
    """
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]  # the optional [keyring] extra
    except ImportError:
        raise AccountRefused(
            "key_source is 'keyring', but keyring is not installed",
            code="no-keyring",
            help="Install kling-render[keyring].",
        ) from None
    try:
        stored = keyring.get_password("kling-render", base_url)
    except keyring.errors.KeyringError as fault:
        raise AccountRefused(f"the keyring did not answer: {fault}", code="no-keyring") from None
    return stored if isinstance(stored, str) else None


def _fault(text: str) -> str:
    """What is wrong with a key, without a character of it."""
    if not text:
        return "is empty"
    if len(text) > 512:
        return "is longer than 512 characters"
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        return "contains a line break or another control character"
    if any(char in "\"'`" for char in text):
        return "contains quotes; set it without them"
    if " " in text:
        return "contains a blank"
    return "contains characters that no key has"
