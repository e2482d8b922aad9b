"""A plain caller of the API for the contract tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from kling_render.sandbox.testing import Sandbox

DESCRIPTION = json.loads((Path(__file__).parents[2] / "schemas" / "aimlapi.openapi.json").read_text())
FINGERPRINT = "0123456789abcdef0123456789abcdef"
CLIENT_ID = f"kr1:{FINGERPRINT}:01ARZ3NDEKTSV4RRFFQ69G5FAV"


@dataclass(frozen=True, slots=True)
class Caller:
    """One key, one sandbox, one request to vary."""

    http: httpx.Client
    sandbox: Sandbox
    body: dict[str, Any]

    def submit(self, client_id: str | None = None, **changes: Any) -> httpx.Response:
        body = {name: value for name, value in (self.body | changes).items() if value is not ...}
        headers = {} if client_id is None else {"X-Client-Request-Id": client_id}
        return self.http.post("/v2/video/generations", json=body, headers=headers)

    def accepted(self, client_id: str | None = None, **changes: Any) -> str:
        answer = self.submit(client_id, **changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def poll(self, generation_id: str) -> httpx.Response:
        return self.http.get("/v2/video/generations", params={"generation_id": generation_id})

    def finished(self, **changes: Any) -> dict[str, Any]:
        """Submit, let the time pass, poll."""
        generation_id = self.accepted(**changes)
        self.sandbox.advance(61)
        return dict(self.poll(generation_id).json())

    def link(self, **changes: Any) -> str:
        return str(self.finished(**changes)["video"]["url"])

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def described(answer: httpx.Response) -> None:
    """Hold an answer against the project's description of the API."""
    operation = DESCRIPTION["paths"][answer.request.url.path][answer.request.method.lower()]
    response = operation["responses"][str(answer.status_code)]
    if "$ref" in response:
        response = DESCRIPTION["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(answer.json())
