"""Looks into a wheel: everything that must be in it, and nothing that must not."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def problems(names: set[str]) -> list[str]:
    """What is missing or too much in a wheel with these files."""
    wanted = {f"kling_render/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "kling_render").rglob("*.py")}
    wanted |= {"kling_render/py.typed", "kling_render/store/schema.sql", "kling_render/outputs/contact_sheet/style.css"}
    starter = [path for path in (ROOT / "examples" / "minimal").rglob("*") if path.is_file()]
    parts = [path.relative_to(ROOT / "examples" / "minimal") for path in starter]
    wanted |= {f"kling_render/starter/{part.as_posix()}" for part in parts if not part.parts[0].startswith("renders")}
    found = {name for name in names if ".dist-info/" not in name}
    return [f"missing: {name}" for name in sorted(wanted - found)] + [
        f"too much: {name}" for name in sorted(found - wanted)
    ]


def main(wheel: str) -> int:
    """Print what is wrong; 1 if anything is."""
    with zipfile.ZipFile(wheel) as archive:
        wrong = problems(set(archive.namelist()))
    sys.stdout.write("".join(f"{line}\n" for line in wrong) or f"{Path(wheel).name}: as it should be\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
