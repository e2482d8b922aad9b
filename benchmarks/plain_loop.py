"""The peer: what somebody writes with httpx in an hour. Submits, polls and downloads; keeps no books.

`python -m benchmarks.plain_loop URL PROJECT AT_ONCE POLL_SECONDS`
"""

from __future__ import annotations

import asyncio
import base64
import sys
from itertools import product
from pathlib import Path

import httpx

_MODEL = "klingai/video-v2-6-pro-motion-control"


async def main(url: str, project: Path, at_once: int, poll_s: float) -> None:
    """Every image with every clip."""
    gate = asyncio.Semaphore(at_once)
    out = project / "out"
    out.mkdir(exist_ok=True)
    pairs = product(sorted((project / "characters").iterdir()), sorted((project / "clips").iterdir()))
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": "Bearer sk-sandbox"}, limits=limits, timeout=None, trust_env=False
    ) as client:
        await asyncio.gather(*(_one(client, gate, pair, out, poll_s) for pair in pairs))


async def _one(
    client: httpx.AsyncClient, gate: asyncio.Semaphore, pair: tuple[Path, Path], out: Path, poll_s: float
) -> None:
    image, clip = pair
    async with gate:
        body = {"model": _MODEL, "image_url": _uri(image, "image/png"), "video_url": _uri(clip, "video/mp4")}
        answer = (await client.post("/v2/video/generations", json=body)).json()
        generation = answer["id"]
        while answer.get("status") != "completed":
            await asyncio.sleep(poll_s)
            answer = (await client.get("/v2/video/generations", params={"generation_id": generation})).json()
        data = (await client.get(answer["video"]["url"])).content
        (out / f"{image.stem}_{clip.stem}.mp4").write_bytes(data)


def _uri(path: Path, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
