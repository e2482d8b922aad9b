"""What is sent for one attempt, in our own words; a provider translates it into its vendor's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A local file that is sent with the request; its bytes must still have this digest when they leave."""

    path: Path
    mime: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """One paid request. `image` and `video` are uploads or https URLs."""

    client_request_id: str
    model: str
    image: Upload | str
    video: Upload | str
    prompt: str
    orientation: str
    keep_audio: bool
    params: Mapping[str, Any]
