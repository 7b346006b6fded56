"""An ext4 file system goes read-only under a store, as a damaged one does, and is mounted anew. Prints JSON.

Run as root in a mount namespace of its own. Usage: on_read_only.py IMAGE MOUNT_POINT
"""

import json
import subprocess
import sys
from pathlib import Path

from audit.journal import Entry, JournalError
from audit.stores.sqlite import SqliteStore
from audit.verify import verify


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(77)
    return done.stdout.strip()


def main() -> None:
    image, mount = sys.argv[1:]
    with Path(image).open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop,errors=remount-ro", image, mount)
    device = run("findmnt", "-n", "-o", "SOURCE", mount)
    fault = Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error")
    if not fault.exists():
        print(f"there is no {fault}", file=sys.stderr)
        sys.exit(77)
    path = Path(mount, "state", "trail.db")
    store = SqliteStore(path)
    epoch = store.lead("a")
    said = []

    def append() -> None:
        try:
            said.append(store.append([Entry(1.0, "a", "k", "s", b"x")], epoch=epoch))
        except JournalError as error:
            said.append(f"{type(error).__name__}: {error}")

    append()
    fault.write_text("1")
    for _ in range(3):
        append()
    run("umount", "-l", mount)
    subprocess.run(["e2fsck", "-fy", image], check=False, capture_output=True)
    run("mount", "-o", "loop", image, mount)
    append()
    store.close()
    print(json.dumps({"said": said, "problem": verify(path).problem}))


main()
