"""A small drum machine: kick, clap, hats and a bass line, all computed."""

from __future__ import annotations

import numpy as np

RATE = 44_100
_BASS = (55.0, 55.0, 65.41, 49.0)


def beat(seconds: float, bpm: int) -> np.ndarray:
    """A mono track of that length, between -1 and 1."""
    track = np.zeros(round(seconds * RATE), np.float32)
    step = 60 / bpm / 2
    noise = np.random.default_rng(7).uniform(-1, 1, RATE).astype(np.float32)
    for index in range(int(seconds / step) + 1):
        at = index * step
        if index % 4 == 0 or index % 16 == 10:
            _mix(track, at, _kick(), 0.85)
        if index % 4 == 2:
            _mix(track, at, noise[:6000] * _decay(6000, 22), 0.32)
        _mix(track, at, np.diff(noise[:1800], prepend=0) * _decay(1800, 70), 0.16 if index % 2 else 0.1)
        _mix(track, at, _bass(_BASS[index // 8 % len(_BASS)] * (1.5 if index % 8 == 6 else 1), step), 0.3)
    fade = min(len(track), RATE // 10)
    track[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.tanh(track).astype(np.float32)


def _decay(samples: int, speed: float) -> np.ndarray:
    return np.exp(-np.arange(samples) / RATE * speed).astype(np.float32)


def _kick() -> np.ndarray:
    t = np.arange(int(0.3 * RATE)) / RATE
    return (np.sin(2 * np.pi * (48 * t + 6 * (1 - np.exp(-t * 30)))) * np.exp(-t * 11)).astype(np.float32)


def _bass(pitch: float, seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * 0.9 * RATE)) / RATE
    wave = np.sin(2 * np.pi * pitch * t) + 0.35 * np.sin(4 * np.pi * pitch * t)
    return (wave * np.exp(-t * 6) * np.minimum(1, t * 200)).astype(np.float32)


def _mix(track: np.ndarray, at: float, sound: np.ndarray, gain: float) -> None:
    first = round(at * RATE)
    part = track[first : first + len(sound)]
    part += sound[: len(part)] * np.float32(gain)
