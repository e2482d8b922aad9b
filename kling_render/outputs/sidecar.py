"""The JSON beside each take: what it is, what it was made from and what it cost. No secret, no signed link."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

FORMAT = "kling-render.sidecar/1"
SUFFIX = ".json"


def sidecar(
    *,
    job: str,
    manifest: Mapping[str, Any],
    fingerprint: str,
    namespace: str,
    generation_id: str | None,
    usd: Decimal | None,
    sha256: str,
    size: int,
    rendered_at: float,
    tool_version: str,
) -> dict[str, Any]:
    """The document of one take.

    Args:
        job: its id.
        manifest: the request it was made from.
        fingerprint: the name of the result in the store.
        namespace: the API's origin, `sandbox` or `previz`.
        generation_id: the provider's id.
        usd: what it cost; None when the provider did not say.
        sha256: of the file, 64 hex.
        size: of the file, in bytes.
        rendered_at: seconds since the epoch.
        tool_version: of this program.
    """
    return {
        "format": FORMAT,
        "job": job,
        "fingerprint": fingerprint,
        "manifest": dict(manifest),
        "inputs": {name: str(manifest[name]) for name in ("image", "video") if name in manifest},
        "namespace": namespace,
        "generation_id": generation_id,
        "usd": None if usd is None else usd_text(usd),
        "sha256": sha256,
        "size": size,
        "rendered_at": utc_text(rendered_at),
        "tool": f"kling-render {tool_version}",
    }


def text(document: Mapping[str, Any]) -> bytes:
    """The file's bytes; the same document gives the same bytes."""
    return (json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def parsed(data: bytes | None) -> dict[str, Any] | None:
    """The document, when the bytes are a sidecar of ours."""
    if data is None:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not str(document.get("format", "")).startswith("kling-render.sidecar/"):
        return None
    return document


def is_ours(data: bytes | None) -> bool:
    """Whether the bytes are a sidecar of ours."""
    return parsed(data) is not None


def same(old: bytes | None, new: bytes) -> bool:
    """Whether two sidecars say the same; the program's version alone is no reason to write one again."""
    if old == new:
        return True
    before, after = parsed(old), parsed(new)
    return before is not None and after is not None and before | {"tool": ""} == after | {"tool": ""}


def sha256_in(data: bytes | None) -> str | None:
    """The digest that a sidecar states."""
    document = parsed(data)
    value = document.get("sha256") if document else None
    return value if isinstance(value, str) else None


def usd_text(usd: Decimal) -> str:
    """An exact amount without an exponent and without trailing zeros."""
    shown = format(usd, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def utc_text(at: float) -> str:
    """A time as ISO 8601 in UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(at: float) -> str:
    """A time as a folder name."""
    return datetime.fromtimestamp(int(at), tz=UTC).strftime("%Y%m%dT%H%M%SZ")
