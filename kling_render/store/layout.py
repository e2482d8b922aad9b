"""Where everything lies inside a store: names only, no access to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FORMAT = 1
"""The version of the store's format; see `store.migrations`."""

MARKER_TEXT = "This folder is a kling-render store. It holds renders that were paid for: do not delete it.\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files and folders of one store."""

    root: Path

    @property
    def marker(self) -> Path:
        """A text file that says what the folder is."""
        return self.root / "README.txt"

    @property
    def ledger(self) -> Path:
        """Attempts, results and their history: the only truth."""
        return self.root / "ledger.sqlite3"

    @property
    def cache(self) -> Path:
        """Derived; may be deleted at any time without changing an answer."""
        return self.root / "cache.sqlite3"

    @property
    def blobs(self) -> Path:
        """Results under their own SHA-256: `ab/ab12…`."""
        return self.root / "blobs"

    @property
    def quarantine(self) -> Path:
        """Blobs whose bytes do not match their name."""
        return self.root / "quarantine"

    @property
    def tmp(self) -> Path:
        """Files that are being written."""
        return self.root / "tmp"

    @property
    def owners(self) -> Path:
        """One locked file per living process."""
        return self.root / "owners"

    @property
    def spool(self) -> Path:
        """Pre-allocated slots for generation ids, for the moment the disk is full."""
        return self.root / "spool"

    @property
    def backups(self) -> Path:
        """Copies of the ledger, taken before each migration."""
        return self.root / "backups"

    @property
    def trash(self) -> Path:
        """What `gc` took away and can bring back: a folder per time, with its journal."""
        return self.root / "trash"

    @property
    def watchers(self) -> Path:
        """One file per project that was ever watched, locked while it is."""
        return self.root / "watchers"

    @property
    def warnings(self) -> Path:
        """Pictures that show what warnings about inputs mean; may be deleted at any time."""
        return self.root / "warnings"

    @property
    def previews(self) -> Path:
        """Posters and previews by the SHA-256 of their film: derived; may be deleted at any time."""
        return self.root / "previews"

    @property
    def exclusive(self) -> Path:
        """Locked while one process has the whole store to itself."""
        return self.root / ".kling-render-exclusive.lock"

    def folders(self) -> tuple[Path, ...]:
        """Every folder a store has from its beginning."""
        return (self.blobs, self.quarantine, self.tmp, self.owners, self.spool)

    def is_ours(self, name: str) -> bool:
        """Whether an entry of the root may stand in a store."""
        known = (
            *self.folders(),
            self.backups,
            self.trash,
            self.watchers,
            self.warnings,
            self.previews,
            self.marker,
            self.ledger,
            self.cache,
        )
        names = {path.name for path in known}
        return name in names or name.startswith((self.ledger.name, self.cache.name, ".kling-render-"))
