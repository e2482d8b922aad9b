"""What a rehearsal costs: `python -m benchmarks.rehearsals`; 10 s of drawn 720p, beside plainly encoding it anew.

The peer decodes the same clip and encodes every frame as it is, by PyAV with one preset for both, and draws nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from kling_render.media import limits
from tests.media import makers
from tests.media.labelled.derive import noise, write
from tests.media.labelled.drawn import ground

SECONDS = 10
_REHEARSE = """
import sys
from pathlib import Path
from kling_render.media.rehearsal import RehearsalSpec, render_rehearsal
clip, image, target = map(Path, sys.argv[1:])
words = ("sc010/hero/walk/t01", "A hero walks along a wall, steady camera. " * 3, "take 01, 10 s, about $1.12")
render_rehearsal(RehearsalSpec(image=image, clip=clip, start=None, end=None, orientation="video", keep_audio=True,
    lines=words, max_edge=1920), target)
"""
_PEER = """
import sys
import av
with av.open(sys.argv[1]) as clip, av.open(sys.argv[3], "w", format="mp4") as film:
    seen, heard = clip.streams.video[0], clip.streams.audio[0]
    seen.thread_type, seen.thread_count = "AUTO", 2
    drawn = film.add_stream("libx264", rate=seen.average_rate)
    drawn.width, drawn.height, drawn.pix_fmt = seen.width, seen.height, "yuv420p"
    drawn.codec_context.thread_count = 2
    drawn.options = {"preset": "ultrafast", "crf": "26", "bf": "0", "x264-params": "cabac=1:deblock=1"}
    played = film.add_stream("aac", rate=heard.rate, layout=heard.layout.name)
    for frame in clip.decode(seen, heard):
        stream = drawn if isinstance(frame, av.VideoFrame) else played
        if stream is drawn:
            frame = frame.reformat(format="yuv420p")
            frame.pict_type = 0
        film.mux(stream.encode(frame))
    film.mux(drawn.encode(None))
    film.mux(played.encode(None))
"""


def _pictures(size: tuple[int, int], rate: int) -> Iterator[np.ndarray]:
    """A figure that walks to and fro before a wall with stains of all sizes, and a camera's noise."""
    width, height = size
    wall, figure = ground(1, height, width), 255 - ground(2, height // 2, height // 4)
    grain = np.random.default_rng(1).integers(-3, 4, (4, height, width, 1))
    for index in range(SECONDS * rate):
        picture = wall.copy()
        x = round((width - figure.shape[1]) * (0.5 + 0.3 * np.sin(index / rate)))
        picture[height // 3 : height // 3 + len(figure), x : x + figure.shape[1]] = figure
        yield np.clip(picture + grain[index % 4], 0, 255).astype(np.uint8)


def _spent(program: str, *jobs: list[Path]) -> tuple[float, float]:
    """Seconds of processor and wall time per job of processes that run this program, all at once."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen([*command, *map(os.fspath, job)], env=limits.environment(), stdin=subprocess.DEVNULL)
        for job in jobs
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit("a rehearsal failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / len(jobs), (time.perf_counter() - begun) / len(jobs)


def _told(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.2f} / {middle:.2f} / {high:.2f}"


def main() -> None:
    """Both in turn, on the same clips, each in a process of its own with everything loaded from the start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clip", type=Path, help="a clip of your own, with sound, in the place of the drawn ones")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        hero = makers.picture(folder / "hero.png", (900, 1200))
        clips = {chosen.clip.name: chosen.clip} if chosen.clip else _drawn(folder)
        for name, clip in clips.items():
            _compare(name, clip, hero, folder / "out.mp4", chosen.rounds)


def _drawn(folder: Path) -> dict[str, Path]:
    clips = {}
    for name, size, rate in (("1280 × 720, 24/s", (1280, 720), 24), ("720 × 1280, 30/s", (720, 1280), 30)):
        clips[name] = folder / f"{rate}.mp4"
        write(clips[name], _pictures(size, rate), rate, noise(SECONDS, -20))
    return clips


def _compare(name: str, clip: Path, hero: Path, target: Path, rounds: int) -> None:
    seconds = float(_length(clip))
    job, other = [clip, hero, target], [clip, hero, target.with_stem("other")]
    ways = {"rehearsal": (_REHEARSE, [job]), "two at once": (_REHEARSE, [job, other])}
    ways["decoded and encoded"] = _PEER, [job]
    spent: dict[str, list[tuple[float, float]]] = {label: [] for label in ways}
    for _ in range(rounds):
        for label, (program, jobs) in ways.items():
            spent[label].append(_spent(program, *jobs))
    print(f"{name}: {seconds:.1f} s, lowest / median / highest of {rounds}")
    for label, runs in spent.items():
        cpu, wall = ([run[index] / seconds for run in runs] for index in (0, 1))
        faster = f"{_told([1 / each for each in wall])} × real time"
        print(f"  {label:20} {_told(cpu)} s CPU per s of film, {faster}")
    ratio = [mine[0] / peer[0] for mine, peer in zip(spent["rehearsal"], spent["decoded and encoded"], strict=True)]
    print(f"  {'CPU, of the peer':20} {_told(ratio)}")


def _length(clip: Path) -> Fraction:
    import av

    with av.open(os.fspath(clip)) as file:
        stream = file.streams.video[0]
        return Fraction((stream.duration or 0) * (stream.time_base or 0))


if __name__ == "__main__":
    main()
