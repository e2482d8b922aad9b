"""Makes every image and clip of the examples anew: `python examples/make_media.py [FOLDER]`.

The pictures are drawn by code and the sound is computed; the same libraries give the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from studio.clips import CLIPS, shoot_clip
from studio.portraits import PORTRAITS, paint_portrait


def main(root: Path) -> None:
    """Write all media below `root`."""
    for portrait in PORTRAITS:
        target = root / portrait.path
        target.parent.mkdir(parents=True, exist_ok=True)
        paint_portrait(portrait, target)
        print(f"{target.stat().st_size / 1000:8.1f} kB  {portrait.path}")
    for clip in CLIPS:
        target = root / clip.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shoot_clip(clip, target)
        print(f"{target.stat().st_size / 1000:8.1f} kB  {clip.path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
