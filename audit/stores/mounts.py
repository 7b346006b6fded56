"""Which file system a path is on. SQLite's shared memory and locks do not work between machines."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")

NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.cephfs",
        "fuse.curlftpfs",
        "fuse.davfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.smbnetfs",
        "fuse.sshfs",
        "glusterfs",
        "gfs2",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
    ]
)
"""File system types that other machines can have mounted at the same time."""


def file_system(path: Path, mounts: str) -> tuple[str, str]:
    """Type and mount point of the file system that holds `path`.

    Args:
        path: absolute and resolved.
        mounts: text of /proc/mounts; a later line covers an earlier one.

    Returns:
        ("", "") when no line covers the path.
    """
    best = ("", "")
    for line in mounts.splitlines():
        columns = line.split(" ")
        if len(columns) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), columns[1])
        if path.is_relative_to(point) and len(point) >= len(best[1]):
            best = (columns[2], point)
    return best


def network_file_system(path: Path) -> tuple[str, str] | None:
    """Type and mount point if `path` is on a network file system, as far as the system tells."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no Linux: nothing can be told
        return None
    found = file_system(path.resolve(), mounts)
    return found if found[0] in NETWORK else None
