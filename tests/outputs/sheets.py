"""Contact sheets without a project: posters drawn on the spot, takes in every state."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

from PIL import Image

from kling_render.outputs.contact_sheet.records import Heading, Sheet, ShotSheet, Shown, Stills

MOTIONS = ("wave", "spin", "walk", "run", "jump", "kick", "bow", "clap", "turn", "roll")
COLOURS = ((200, 40, 40), (40, 160, 60), (60, 80, 220))


def stills(folder: Path, number: int, size: tuple[int, int] = (90, 160)) -> Stills:
    """A plain poster in one of three colours, and a preview that blinks."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{number}{size}".encode()).hexdigest()[:24]
    poster, preview = folder / f"{name}.webp", folder / f"{name}-moving.webp"
    Image.new("RGB", size, COLOURS[number % 3]).save(poster, "WEBP", lossless=True)
    frames = [Image.new("RGB", size, colour) for colour in ((255, 255, 0), (0, 255, 255))]
    frames[0].save(preview, "WEBP", save_all=True, append_images=frames[1:], duration=100, loop=0, lossless=True)
    return Stills(name=name, poster=poster, preview=preview, width=size[0], height=size[1])


def shown(cell: str, take: int, folder: Path, number: int) -> Shown:
    """One take; every seventh one failed, every fifth has no result yet, every fourth has a warning."""
    job = f"{cell}/t{take:02d}"
    if number % 7 == 6:
        return Shown(
            id=job, take=take, values=(), state="failed", usd=Decimal("0.5"), paid=False, note="refused: no <b>"
        )
    if number % 5 == 4:
        return Shown(id=job, take=take, values=(), state="to-render", usd=Decimal("0.448"), paid=False, due=True)
    film = folder / "takes" / f"{cell} #{take}.mp4"
    return Shown(
        id=job,
        take=take,
        values=("roof",),
        state="up-to-date",
        usd=Decimal("0.448"),
        paid=True,
        warnings=("frozen at 1.0–3.0 s",) if number % 4 == 3 else (),
        prompt='On a <roof> & in "rain", 夜',
        film=film,
        seconds=4.0,
        final=take == 1,
        stills=stills(folder / "stills", number, (90, 160) if number % 2 else (160, 90)),
    )


def sheet(folder: Path, shots: int = 2, rows: int = 2, columns: int = 3, takes: int = 1) -> Sheet:
    """A project of that many cells."""
    made, number = [], 0
    for shot in range(shots):
        cells = {}
        heads = [Heading(id=f"fox{row}", name="Füchsin 狐 <i>" if row == 0 else "") for row in range(rows)]
        motions = [Heading(id=f"{MOTIONS[n % 10]}{n // 10 or ''}") for n in range(columns)]
        for row in heads:
            for column in motions:
                every = []
                for take in range(1, takes + 1):
                    every.append(shown(f"sc{shot:03d}/{row.id}/{column.id}", take, folder, number))
                    number += 1
                cells[row.id, column.id] = tuple(every)
        made.append(ShotSheet(id=f"sc{shot:03d}", rows=tuple(heads), columns=tuple(motions), cells=cells))
    return Sheet(project='Street <b>&"', provider="aimlapi", shots=tuple(made))
