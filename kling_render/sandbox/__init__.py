"""A local stand-in for the AI/ML API: same endpoints, real mp4 answers, latency, prices and faults on request.

The world (`world.py` and what it uses) is pure state with the time passed in; the HTTP app, the media and the server
process are wrapped around it, so that the same world also serves a virtual clock without any socket.
"""

from kling_render.sandbox.config import SandboxConfig
from kling_render.sandbox.server import serve

__all__ = ["SandboxConfig", "serve"]
