"""Steps from one format of the ledger to the next, each run inside the transaction that also raises the version.

The key is the version a step starts from. A backup is made before the first step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from types import MappingProxyType

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})
