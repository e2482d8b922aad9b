"""`python -m tests.media.labelled --measure [--folder DIR] [--only TEXT] [-v]`: how right the warnings are."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kling_render.media.footage.advice import about_sound
from kling_render.media.footage.findings import VERSION, Footage
from kling_render.media.footage.viewer import Part, watch_many
from tests.media.labelled.footage import PACKAGES, fetch
from tests.media.labelled.labels import LABELS, Label
from tests.media.labelled.pictures import measure_pictures

_NEAR_S = 0.12
"""A cut is found when it is named this near."""


@dataclass(slots=True)
class Tally:
    """Right and wrong answers of one warning."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    calm: int = 0

    def add(self, name: str, said: bool, true: bool | None) -> None:
        """One answer against the label."""
        if true is None:
            return
        if said and true:
            self.right += 1
        elif said:
            self.wrong.append(name)
        elif true:
            self.missed.append(name)
        else:
            self.calm += 1

    def line(self, warning: str) -> str:
        """As a row of a table."""
        said, there = self.right + len(self.wrong), self.right + len(self.missed)
        precision = f"{self.right / said:.2f}" if said else "–"
        recall = f"{self.right / there:.2f}" if there else "–"
        return (
            f"| {warning} | {there + self.calm + len(self.wrong)} | {there} | {said} | {len(self.wrong)} "
            f"| {precision} | {recall} |"
        )


def make(labels: list[Label], files: Mapping[str, Path], folder: Path) -> dict[Label, Path]:
    """The clips; those made before are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for label in labels:
        target = folder / (re.sub(r"[^a-z0-9]+", "-", label.name.lower()) + ".mp4")
        if not target.is_file():
            part = target.with_suffix(".part")
            label.make(files, part)
            part.rename(target)
        made[label] = target
    return made


def tallied(found: Mapping[Label, Footage]) -> dict[str, Tally]:
    """Every clip's answers against its labels."""
    tallies = {name: Tally() for name in ("cuts", "cuts, clips", "camera", "speed", "silence")}
    for label, footage in found.items():
        left = [cut.start for cut in footage.cuts]
        for cut in label.cuts:
            near = next((at for at in left if abs(at - cut) <= _NEAR_S), None)
            tallies["cuts"].add(f"{label.name} at {cut}", near is not None, True)
            if near is not None:
                left.remove(near)
        for at in left:
            tallies["cuts"].add(f"{label.name} at {at}", True, False)
        tallies["cuts, clips"].add(label.name, bool(footage.cuts), bool(label.cuts))
        tallies["camera"].add(label.name, bool(footage.camera), label.camera)
        tallies["speed"].add(label.name, bool(footage.speed), label.speed)
        tallies["silence"].add(label.name, bool(about_sound(footage)), label.silence)
    return tallies


def main() -> int:
    """Fetch, derive, watch, count."""
    parser = argparse.ArgumentParser(prog="python -m tests.media.labelled", description=__doc__)
    parser.add_argument("--measure", action="store_true", required=True)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "kling-render-labelled")
    parser.add_argument("--only", default="", help="clips whose name holds this text")
    parser.add_argument("-v", "--verbose", action="store_true", help="what was found in each clip")
    options = parser.parse_args()
    files = fetch(options.folder)
    wanted = [label for label in LABELS if options.only in label.name and files.keys() >= set(label.needs)]
    made = make(wanted, files, options.folder / "clips")
    begun = time.perf_counter()
    strips = options.folder / "strips"
    strips.mkdir(exist_ok=True)
    watched = watch_many([Part(path, None, None, path.stem) for path in made.values()], strips)
    took = time.perf_counter() - begun
    found = dict(zip(made, watched, strict=True))
    if options.verbose:
        for label, footage in found.items():
            said = {
                name: [f"{m.start:g}-{m.end:g}" for m in footage.moments(name)] for name in ("cuts", "camera", "speed")
            }  # type: ignore[arg-type]
            print(f"{label.name}: {said} {footage.loudest_db}")
    print(f"{len(found)} of {len(LABELS)} clips, {VERSION}, watched in {took:.0f} s; from", *[p.name for p in PACKAGES])
    print(
        "| warning | judged | there | said | wrong | precision | recall |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    tallies = tallied(found) | measure_pictures(files, Tally())
    for name, tally in tallies.items():
        print(tally.line(name))
    for name, tally in tallies.items():
        for what, names in (("wrong", tally.wrong), ("missed", tally.missed)):
            if names:
                print(f"{name}, {what}: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
