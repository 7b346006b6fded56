"""What a process really does to the files of one directory, by strace, in the words of `tests.faults.disk`."""

import re
import subprocess
from pathlib import Path

from tests.faults.disk import Event, Name, Resize, Sync, Write

_TRACED = "pwrite64,write,fdatasync,fsync,ftruncate,unlink,rename"
_CALL = re.compile(r"(\w+)\((?:\d+<([^>]*)>)?(.*)\) += \d+$")
_WORDS = {"pwrite64": "write", "write": "write", "fdatasync": "sync", "fsync": "sync", "ftruncate": "truncate"}


def traced(directory: Path, command: list[str], out: Path, cwd: Path) -> list[str]:
    """Run the command; each change of a file, and each sync, as a word and a name; shared memory left out."""
    strace = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(out), "-e", f"trace={_TRACED}"]
    subprocess.run([*strace, *command], cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    found = []
    for line in out.read_text().splitlines():
        call = _CALL.search(line)
        if not call or str(directory) not in line:
            continue
        named = [Path(name).name for name in re.findall(r'"([^"]*)"', call[3])]
        if call[2]:
            named = ["." if call[2] == str(directory) else Path(call[2]).name]
        if not named[0].endswith("-shm"):
            found.append(" ".join((_WORDS.get(call[1], call[1]), *named)))
    return found


def recorded(events: list[Event]) -> list[str]:
    """The same of a recording."""
    names: dict[int, str] = {}
    found = []
    for event in events:
        match event:
            case Name(name, None):
                found.append(f"unlink {name}")
            case Name(name, int() as file, before):
                names[file] = name
                if before:
                    found.append(f"rename {before} {name}")
            case Write(file):
                found.append(f"write {names[file]}")
            case Resize(file):
                found.append(f"truncate {names[file]}")
            case Sync(file):
                found.append(f"sync {names[file] if file else '.'}")
    return found
