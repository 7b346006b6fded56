"""Cut the power of an ext4 file system on a loop device while a writer appends to it. Prints what was found as JSON.

Run as root in a mount namespace of its own. Usage: on_power_cut.py IMAGE MOUNT_POINT WRITER
"""

import fcntl
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

from audit.journal import JournalError
from audit.stores.sqlite import SqliteStore
from audit.verify import verify

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH


def run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        sys.exit(77)


def main() -> None:
    image, mount, writer = sys.argv[1:]
    with Path(image).open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop", image, mount)
    process = subprocess.Popen(
        [sys.executable, writer, f"{mount}/state", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    lines = [process.stdout.readline() for _ in range(60)]
    unsynced = Path(mount, "unsynced")
    unsynced.write_bytes(b"x" * 8192)  # its name may be committed by the writer's syncs, its data not for half a minute
    directory = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(directory)
    process.communicate()  # what it acknowledges from here on, it does without power
    acks = [int(number) for number in re.findall(r"^ack (\d+)$", "".join(lines), re.MULTILINE)]
    run("umount", mount)
    run("mount", "-o", "loop", image, mount)
    path, found = Path(mount, "state", "trail.db"), set()
    try:
        store = SqliteStore(path)
        found = {record.seq for record in store.after(0)}
        store.close()
        problem = verify(path).problem
    except JournalError as error:
        problem = str(error)
    survived = unsynced.exists() and unsynced.read_bytes() == b"x" * 8192
    run("umount", mount)
    lost = sorted(set(acks) - found)
    print(json.dumps({"acknowledged": len(acks), "lost": lost, "problem": problem, "unsynced survived": survived}))


main()
