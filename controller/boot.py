"""How much of the time since the last leadership was a jump of the wall clock: what really passed, the kernel counts.

The count (with suspends) belongs to one boot of the machine. Over a reboot nobody can tell: the clock is believed.
"""

import contextlib
import json
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime

FILE = "boot.json"
"""Name in the state directory; without it the wall clock is believed."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
SLACK = 1.0
"""Seconds of difference that are no jump: a clock that is slewed, and the time between two readings."""


def jumped(state_dir: Path, now: float) -> float:
    """Seconds by which `now` is later than what passed since `remember`; 0 where that can not be told."""
    try:
        known = json.loads((state_dir / FILE).read_bytes())
        boot, uptime, at = str(known["boot"]), float(known["uptime"]), float(known["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
    if boot != _boot_id():
        return 0.0
    ahead = (now - at) - (clock_gettime(CLOCK_BOOTTIME) - uptime)
    return round(ahead, 6) if ahead > SLACK else 0.0


def remember(state_dir: Path, now: float) -> None:
    """Keep what `jumped` needs at the next start; where it can not be written, the wall clock is believed then."""
    content = {"boot": _boot_id(), "uptime": clock_gettime(CLOCK_BOOTTIME), "at": now}
    draft = state_dir / f"{FILE}.tmp"
    with contextlib.suppress(OSError):
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(content))
        draft.replace(state_dir / FILE)


def _boot_id() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
