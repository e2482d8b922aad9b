"""A cartoon body that can strike a pose: two-bone legs standing on their feet, arms by angles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from studio.pen import Colour, Pen, Point, add, reach, rotate

THIGH = SHIN = 0.205
TORSO = 0.25
UPPER_ARM, FOREARM = 0.135, 0.13
HEAD = 0.135


@dataclass(frozen=True, slots=True)
class Pose:
    """One moment. Angles in radians; an arm at 0 hangs down, positive swings to the right of the picture."""

    hip: Point = (0.0, 0.435)
    lean: float = 0.0
    left_foot: Point = (-0.1, 0.0)
    right_foot: Point = (0.1, 0.0)
    left_arm: tuple[float, float] = (-0.35, -0.25)
    right_arm: tuple[float, float] = (0.35, 0.25)
    tilt: float = 0.0
    #: Turn about the body's own axis: 0 faces the camera, half a turn shows the back.
    yaw: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """Colours and parts of a character."""

    head: Callable[[Pen, Point, float, float], None]
    top: Colour
    top_shade: Colour
    legs: Colour
    shoes: Colour
    hands: Colour
    sole: Colour = (245, 245, 245)
    stripe: Colour | None = None
    #: Drawn behind everything: a tail, say. Gets the hip and the lean.
    behind: Callable[[Pen, Point, float], None] | None = None
    #: Drawn on the chest. Gets the chest's centre, the lean and the facing.
    emblem: Callable[[Pen, Point, float, float], None] | None = None
    girth: float = 1.0


def draw_body(pen: Pen, look: Look, pose: Pose) -> None:
    """The whole figure."""
    facing = math.cos(pose.yaw)
    side = math.sin(pose.yaw)
    width = 0.45 + 0.55 * abs(facing)
    sign = 1 if facing >= 0 else -1
    chest = add(pose.hip, rotate((0, TORSO), -pose.lean))
    if look.behind and facing >= -0.2:
        look.behind(pen, pose.hip, pose.lean)
    for foot, out in ((pose.left_foot, -sign), (pose.right_foot, sign)):
        _leg(pen, look, pose.hip, foot, out=out * width, facing=facing if abs(facing) > 0.3 else side)
    shoulders = 0.1 * width * look.girth * sign
    arms = ((-shoulders, pose.left_arm, -1), (shoulders, pose.right_arm, 1))
    for offset, angles, _ in arms:
        if side * offset < -0.02:
            _arm(pen, look, add(chest, rotate((offset, -0.03), -pose.lean)), angles, width)
    _torso(pen, look, pose, width)
    if look.emblem and facing > 0.35:
        look.emblem(pen, add(pose.hip, rotate((0, TORSO * 0.58), -pose.lean)), pose.lean, facing)
    if look.behind and facing < -0.2:
        look.behind(pen, pose.hip, pose.lean)
    for offset, angles, _ in arms:
        if side * offset >= -0.02:
            _arm(pen, look, add(chest, rotate((offset, -0.03), -pose.lean)), angles, width)
    head = add(chest, rotate((0, HEAD * 0.9 + 0.035), -pose.lean - pose.tilt * 0.5))
    look.head(pen, head, -pose.lean * 0.6 - pose.tilt, pose.yaw)


def _leg(pen: Pen, look: Look, hip: Point, foot: Point, *, out: float, facing: float) -> None:
    joint = (hip[0] + 0.052 * out, hip[1])
    ankle = (foot[0], foot[1] + 0.045)
    knee = _knee(joint, ankle, out)
    g = look.girth
    pen.limb([joint, knee, ankle], [0.06 * g, 0.05 * g, 0.042 * g], look.legs)
    if look.stripe:
        pen.stroke(
            [add(joint, (0.03 * out, 0)), add(knee, (0.026 * out, 0)), add(ankle, (0.02 * out, 0.02))],
            look.stripe,
            0.014,
        )
    _shoe(pen, look, foot, out if abs(facing) > 0.3 else facing)


def _knee(hip: Point, ankle: Point, out: float) -> Point:
    dx, dy = ankle[0] - hip[0], ankle[1] - hip[1]
    distance = min(math.hypot(dx, dy), THIGH + SHIN - 0.001)
    bend = math.acos(distance / (THIGH + SHIN))
    angle = math.atan2(dx, -dy) + bend * (1 if out >= 0 else -1)
    return reach(hip, THIGH, angle)


def _shoe(pen: Pen, look: Look, foot: Point, out: float) -> None:
    s = 1 if out >= 0 else -1
    x, y = foot
    upper = [(-0.045, 0.015), (-0.05, 0.07), (0.02, 0.075), (0.06, 0.05), (0.1, 0.035), (0.105, 0.012)]
    pen.shape([(x + s * px, y + py) for px, py in upper], look.shoes, smooth=True)
    sole = [(-0.055, 0.0), (-0.055, 0.022), (0.108, 0.022), (0.112, 0.0)]
    pen.shape([(x + s * px, y + py) for px, py in sole], look.sole)


def _torso(pen: Pen, look: Look, pose: Pose, width: float) -> None:
    g = width * look.girth

    def at(x: float, y: float) -> Point:
        return add(pose.hip, rotate((x * g, y), -pose.lean))

    pen.shape(
        [
            at(-0.088, -0.025),
            at(-0.1, 0.05),
            at(-0.125, 0.2),
            at(-0.075, 0.255),
            at(0, 0.262),
            at(0.075, 0.255),
            at(0.125, 0.2),
            at(0.1, 0.05),
            at(0.088, -0.025),
            at(0, -0.035),
        ],
        look.top,
        smooth=True,
    )
    pen.shape(
        [at(-0.09, -0.03), at(-0.093, 0.015), at(0, 0.005), at(0.093, 0.015), at(0.09, -0.03), at(0, -0.04)],
        look.top_shade,
    )
    pen.limb([at(-0.04, 0.255), at(0.04, 0.255)], [0.026, 0.026], look.top_shade)


def _arm(pen: Pen, look: Look, shoulder: Point, angles: tuple[float, float], width: float) -> None:
    squash = 0.6 + 0.4 * width
    elbow = reach(shoulder, UPPER_ARM, angles[0])
    elbow = (shoulder[0] + (elbow[0] - shoulder[0]) * squash, elbow[1])
    wrist = reach(elbow, FOREARM, angles[1])
    wrist = (elbow[0] + (wrist[0] - elbow[0]) * squash, wrist[1])
    along = ((wrist[0] - elbow[0]) / FOREARM, (wrist[1] - elbow[1]) / FOREARM)
    pen.oval(add(wrist, (along[0] * 0.06, along[1] * 0.06)), 0.041, 0.041, look.hands)
    pen.limb([shoulder, elbow, wrist], [0.047, 0.041, 0.036], look.top)
    cuff = add(wrist, (along[0] * -0.02, along[1] * -0.02))
    pen.limb([cuff, wrist], [0.039, 0.039], look.top_shade)
