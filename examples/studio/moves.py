"""The choreography: seconds → where the dancer stands (part of the picture's width) and the pose."""

from __future__ import annotations

import math

from studio.body import Pose


def _swing(t: float, period: float, phase: float = 0.0) -> float:
    return math.sin(math.tau * (t / period + phase))


def _ease(x: float) -> float:
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)


def wave(t: float) -> tuple[float, Pose]:
    """A friendly wave, weight going from foot to foot."""
    sway = _swing(t, 1.333)
    up, forearm = _ease((t - 0.1) / 0.6), _ease(t / 0.4)
    right = (0.35 + 1.05 * up, 0.25 + 2.75 * forearm + 0.5 * up * _swing(t, 0.58))
    return 0.465 + 0.04 * sway, Pose(
        hip=(0.012 * sway, 0.42 + 0.01 * abs(_swing(t, 1.333, 0.25))),
        lean=0.07 * sway,
        left_foot=(-0.115, 0.0),
        right_foot=(0.115, 0.0),
        left_arm=(-0.8, 0.7 + 0.1 * sway),
        right_arm=right,
        tilt=0.1 * _swing(t, 1.333, 0.1),
    )


def stroll(t: float) -> tuple[float, Pose]:
    """A walk from left to right."""
    stride = 0.15
    phase = t / 1.1
    left, right = _step(phase, stride), _step(phase + 0.5, stride)
    swing = math.sin(math.tau * phase)
    return 0.16 + 0.68 * t / 3.5, Pose(
        hip=(0.0, 0.418 + 0.012 * math.cos(2 * math.tau * phase)),
        lean=0.08,
        left_foot=left,
        right_foot=right,
        left_arm=(-0.6 * swing, -0.6 * swing + 0.55),
        right_arm=(0.6 * swing, 0.6 * swing + 0.55),
        tilt=0.03 * swing,
        yaw=1.05,
    )


def _step(phase: float, stride: float) -> tuple[float, float]:
    """A foot's path: half the time on the ground going back, half the time in the air going forth."""
    p = phase % 1.0
    if p < 0.5:
        return stride * (1 - 4 * p), 0.0
    q = (p - 0.5) * 2
    return stride * (2 * _ease(q) - 1), 0.075 * math.sin(math.pi * q)


def spin(t: float) -> tuple[float, Pose]:
    """Wind up, two turns on the spot, and a stop with open arms."""
    turn = math.tau * 2 * _ease((t - 0.7) / 2.6)
    wind = _ease(t / 0.6) - _ease((t - 0.6) / 0.4)
    tucked = _ease((t - 0.6) / 0.5) - _ease((t - 3.0) / 0.4)
    final = _ease((t - 3.1) / 0.4)
    bounce = abs(_swing(t, 1.07)) * 0.012
    reach = 0.45 + 0.9 * wind + 0.5 * tucked
    return 0.5, Pose(
        hip=(0.0, 0.428 - 0.035 * wind - 0.045 * final + bounce * (1 - tucked)),
        lean=-0.1 * wind + 0.08 * final * _swing(t, 1.07),
        left_foot=(-0.11 + 0.05 * tucked - 0.05 * final, 0.0),
        right_foot=(0.11 - 0.04 * tucked + 0.05 * final, 0.05 * tucked * abs(_swing(t, 0.5))),
        left_arm=(-reach - 1.2 * final, -reach + 2.2 * tucked - 1.9 * final),
        right_arm=(reach + 0.9 * final, reach - 2.2 * tucked + 1.0 * final),
        tilt=0.1 * final * _swing(t, 0.54),
        yaw=turn,
    )


def dance(t: float) -> tuple[float, Pose]:
    """Three seconds of side steps, then three of bouncing with the arms up; a beat is half a second."""
    return _side_steps(t) if t < 3 else _bounce(t - 3)


def _side_steps(t: float) -> tuple[float, Pose]:
    beat = _swing(t, 2.0)
    lift = max(0.0, _swing(t, 1.0, 0.25))
    left_up = lift if math.cos(math.tau * t / 2) > 0 else 0.0
    right_up = lift if left_up == 0.0 else 0.0
    pump = _swing(t, 1.0)
    return 0.5 + 0.13 * beat, Pose(
        hip=(0.01 * beat, 0.402 + 0.02 * abs(_swing(t, 1.0))),
        lean=0.13 * _swing(t, 2.0, 0.25),
        left_foot=(-0.12 - 0.04 * lift, 0.06 * left_up),
        right_foot=(0.12 + 0.04 * lift, 0.06 * right_up),
        left_arm=(-0.7 - 0.5 * pump, -0.7 + 1.9 * max(0.0, pump)),
        right_arm=(0.7 - 0.5 * pump, 0.7 + 1.9 * min(0.0, pump)),
        tilt=0.12 * beat,
        yaw=0.35 * _swing(t, 2.0, 0.25),
    )


def _bounce(t: float) -> tuple[float, Pose]:
    raise_ = _ease(t / 0.4)
    bob = abs(_swing(t, 1.0))
    sway = _swing(t, 2.0)
    return 0.5 + 0.02 * sway, Pose(
        hip=(0.02 * sway, 0.375 + 0.045 * bob),
        lean=0.1 * sway,
        left_foot=(-0.15, 0.0),
        right_foot=(0.15, 0.0),
        left_arm=(-0.7 - 1.5 * raise_ - 0.15 * sway, -0.7 - 2.1 * raise_ - 0.3 * sway),
        right_arm=(0.7 + 1.5 * raise_ - 0.15 * sway, 0.7 + 2.1 * raise_ - 0.3 * sway),
        tilt=0.14 * _swing(t, 1.0),
        yaw=0.25 * sway,
    )
