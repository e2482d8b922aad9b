"""What the table of mounts says about a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_render.disk.places import file_system, is_network

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:44 / /export/ada rw - nfs4 server:/home rw
31 22 0:45 / /mnt/my\\040disk rw - fuse.sshfs ada@host: rw
32 22 0:46 / /data rw - ext4 /dev/vdb rw
33 32 0:47 / /data rw - cifs //server/data rw
34 22 0:48 / /win rw - fuseblk /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/var/lib", "ext4", False),
        ("/export/ada/store", "nfs4", True),
        ("/export/adam", "ext4", False),
        ("/mnt/my disk/x", "fuse.sshfs", True),
        ("/data/x", "cifs", True),
        ("/win/x", "fuseblk", False),
    ],
)
def test_a_path_lies_on_the_deepest_and_latest_mount_that_holds_it(path: str, kind: str, network: bool) -> None:
    """Locks do not hold on a network file system, so the store must know where it lies."""
    found = file_system(Path(path), MOUNTS)
    assert (found, is_network(found)) == (kind, network)


def test_no_table_says_nothing() -> None:
    """Where the kernel has no table, nothing is refused."""
    assert not is_network(file_system(Path("/x"), ""))
