"""Why nothing is said about people: OpenCV's own detectors on labelled pictures and frames.

`pip install "opencv-python-headless<5"`, then `python -m tests.media.labelled.people [FOLDER]`. Version 5 has no such
detectors any more.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.media.labelled.derive import Picture, np, read
from tests.media.labelled.footage import fetch

#: File (short name, or beside `messi`), second of a clip (None: a picture), people, whether the main one is whole.
_LABELS: tuple[tuple[str, float | None, int, bool], ...] = (
    ("bus", None, 4, True), ("zidane", None, 2, False), ("messi", None, 1, True), ("basketball", None, 2, True),
    ("tower", None, 0, False), ("cheetah", None, 0, False), ("fruits.jpg", None, 0, False),
    ("home.jpg", None, 0, False), ("building.jpg", None, 0, False), ("aloeL.jpg", None, 0, False),
    ("baboon.jpg", None, 0, False), ("stuff.jpg", None, 0, False), ("graf1.png", None, 0, False),
    ("starry_night.jpg", None, 0, False), ("squirrel_cls.jpg", None, 0, False),
    *(("cap12", at, 1, False) for at in (2, 30, 50)), *(("franck", at, 1, False) for at in (5, 80, 160)),
    *(("carphone", at, 1, False) for at in (0, 1.5, 3)), *(("vtest", at, 5, True) for at in (5, 30, 60)),
    ("bikes", 0.5, 0, False), ("bikes", 1.5, 1, False), ("bikes", 5.0, 1, True), ("bikes", 6.5, 0, False),
    ("bikes", 9.2, 0, False), ("cup", 0.5, 0, False), ("cup", 3, 0, False), ("world", 5, 0, False),
    ("tree", 5, 0, False),
)  # fmt: skip


def _pictures(folder: Path) -> Iterator[tuple[Picture, int, bool]]:
    files = fetch(folder)
    for name, at, people, whole in _LABELS:
        path = files.get(name, files["messi"].with_name(name))
        if path.is_file():
            picture = np.asarray(Image.open(path).convert("RGB")) if at is None else next(read(path, at))
            scale = 640 / max(picture.shape[:2])
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            yield np.asarray(Image.fromarray(picture).resize(size)), people, whole


def _rates(said: Sequence[bool], true: Sequence[bool]) -> str:
    right = sum(one and other for one, other in zip(said, true, strict=True))
    return f"{right / max(1, sum(said)):.2f} / {right / max(1, sum(true)):.2f} ({sum(said)} said)"


def main() -> None:
    """One row per detector: precision and recall of three warnings."""
    import cv2  # type: ignore[import-not-found]

    given = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir()) / "kling-render-labelled"
    shown = list(_pictures(given))
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    finders: dict[str, Any] = {"hog": lambda grey: hog.detectMultiScale(grey, winStride=(8, 8), scale=1.05)[0]}
    for name in ("frontalface_default", "upperbody", "fullbody"):
        cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
        finders[name] = lambda grey, cascade=cascade: cascade.detectMultiScale(grey, 1.1, 5)
    print(f"{len(shown)} pictures, OpenCV {cv2.__version__}: precision / recall")
    print("| detector | no person | several people | not the whole body |\n| --- | --- | --- | --- |")
    people, whole = [people for _, people, _ in shown], [whole for _, _, whole in shown]
    for name, find in finders.items():
        counts = [len(find(np.asarray(Image.fromarray(picture).convert("L")))) for picture, _, _ in shown]
        nobody = _rates([count == 0 for count in counts], [count == 0 for count in people])
        several = _rates([count > 1 for count in counts], [count > 1 for count in people])
        cropped = _rates([count == 0 for count in counts], [not one for one in whole])
        print(f"| {name} | {nobody} | {several} | {cropped} |")


if __name__ == "__main__":
    main()
