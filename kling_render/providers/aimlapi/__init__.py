"""The AI/ML API: the only room that knows the vendor's words, and the only one that imports httpx."""

import importlib.util
import sys

if importlib.util.find_spec("sniffio") is None:
    # httpcore asks for this optional module several times per request; a search of the whole path each time took a
    # sixth of a run. With None here the answer is the same, at once.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
