"""The drawn part of the labelled set: made by this code alone, for tests without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.media.labelled.derive import Picture, noise, write

RATE = 24
SIZE = (344, 352)
"""Rows and columns."""


def ground(seed: int, rows: int = SIZE[0], columns: int = SIZE[1]) -> Picture:
    """A wall with stains of all sizes; each has a light of its own."""
    drawn = np.random.default_rng(seed)
    picture = np.zeros((rows, columns, 3))
    for grain in (6, 20, 60):
        stains = drawn.integers(40, 216, (rows // (240 // grain) + 2, columns // (240 // grain) + 2, 3), np.uint8)
        picture += np.asarray(Image.fromarray(stains).resize((columns, rows), Image.Resampling.BICUBIC))
    return (picture / 5 + seed * 53 % 100).astype(np.uint8)


def walk(seconds: float, *, seed: int = 1, speed: float = 0.12, move: float = 0.0) -> Iterator[Picture]:
    """A figure that goes back and forth before a wall.

    Args:
        seconds: how long.
        seed: which wall.
        speed: of the figure, in picture widths a second.
        move: of the camera, in picture widths a second.
    """
    rows, columns = SIZE
    wall = ground(seed, columns=columns + round(abs(move) * columns * seconds) + 1)
    figure = 255 - ground(seed + 50, rows // 2, columns // 6)
    for index in range(round(seconds * RATE)):
        left = round(abs(move) * columns * index / RATE)
        picture = wall[:, left : left + columns].copy()
        way = (index / RATE * speed) % 1.2
        x = round(columns * (0.15 + min(way, 1.2 - way)))
        x = min(x, columns - figure.shape[1])
        picture[rows // 3 : rows // 3 + figure.shape[0], x : x + figure.shape[1]] = figure
        yield picture


def still(target: Path, seconds: float = 3.0, db: float = -20.0) -> Path:
    """One take, a camera that stands still, a calm figure, and sound of that loudness."""
    write(target, walk(seconds), RATE, noise(seconds, db))
    return target


def mute(target: Path, seconds: float = 3.0) -> Path:
    """The same without a sound track."""
    write(target, walk(seconds), RATE)
    return target


def cut(target: Path, *lengths: float) -> Path:
    """Takes of these lengths, one after the other, each before another wall."""
    takes = [walk(seconds, seed=10 + number) for number, seconds in enumerate(lengths)]
    write(target, (picture for take in takes for picture in take), RATE, noise(sum(lengths), -20.0))
    return target


def pan(target: Path, seconds: float = 3.0, move: float = 0.15) -> Path:
    """A camera that goes along the wall."""
    write(target, walk(seconds, move=move), RATE, noise(seconds, -20.0))
    return target


def rush(target: Path, seconds: float = 3.0, speed: float = 1.4) -> Path:
    """A figure that rushes from side to side."""
    write(target, walk(seconds, speed=speed), RATE, noise(seconds, -20.0))
    return target


def lightning(target: Path, seconds: float = 3.0) -> Path:
    """One take with a flash of two frames."""
    frames = walk(seconds)
    lit = (
        np.minimum(255, p.astype(np.int16) + 120).astype(np.uint8) if i in (30, 31) else p for i, p in enumerate(frames)
    )
    write(target, lit, RATE, noise(seconds, -20.0))
    return target
