"""Is everything in place? One finding per question, each with what to do where the answer is no. Nothing is changed."""

import contextlib
import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.settings import STORE, Settings

if TYPE_CHECKING:
    from telemetry.sources import Source

LEAST_FREE = 256 << 20
"""Bytes: below, the trail may soon be full."""


class State(StrEnum):
    """The answer to a question."""

    FINE = "ok"
    NOTE = "note"  # worth knowing, nothing to do
    BAD = "bad"  # it will not work so


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer.

    Attributes:
        about: which part: `store`, `clock`, …
        state: the answer.
        detail: what was found.
        hint: what to do; empty where nothing is.
    """

    about: str
    state: State
    detail: str
    hint: str = ""

    def row(self) -> dict[str, Any]:
        """For output."""
        return asdict(self) | {"state": self.state.value}


def examine(settings: Settings, now: Callable[[], float]) -> Iterator[Finding]:
    """Every question, in the order in which things depend on each other; `now` in epoch seconds."""
    yield from _versions()
    yield from _settings(settings)
    yield from _directory(settings.state)
    yield from _store(settings.state, now())
    yield from _policies(settings)
    if settings.kubernetes == "off":
        yield from _sources(settings, now())
    else:
        from controller.cluster.doctor import examine_cluster  # noqa: PLC0415 - who has no cluster pays nothing for it

        yield from examine_cluster(settings, now)


def _versions() -> Iterator[Finding]:
    from importlib.metadata import version  # noqa: PLC0415 - slow, and only for this

    parts = f"gyrostat {version('gyrostat')}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    yield Finding("versions", State.FINE, f"{parts}, {platform.system()} {platform.release()}")


def _settings(settings: Settings) -> Iterator[Finding]:
    """They were read, or we were not here."""
    origins = [settings.origin(name) for name in type(settings).model_fields]
    given = {origin: origins.count(origin) for origin in ("flag", "environment", "file") if origin in origins}
    told = ", ".join(f"{count} by {origin}" for origin, count in given.items()) or "all by default"
    cap = "" if settings.mode_cap == "Enforce" else f"; no policy acts above {settings.mode_cap}"
    yield Finding("settings", State.FINE, f"{told}{cap}")


def _directory(state: Path) -> Iterator[Finding]:
    from audit.stores.mounts import network_file_system  # noqa: PLC0415

    there = next(folder for folder in (state, *state.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "give it to the user who runs this, or name another with --state"
        yield Finding("directory", State.BAD, f"{there} can not be written by uid {os.getuid()}", hint)
        return
    if network := network_file_system(there):
        hint = "the trail needs a disk of this machine: SQLite's locks do not work over a network"
        yield Finding("directory", State.BAD, f"{state} is on {network[0]} ({network[1]})", hint)
        return
    mode = there.stat().st_mode & 0o777
    if there == state and mode & 0o077:
        hint = f"chmod 700 {state}"
        yield Finding("directory", State.NOTE, f"{state} has mode {mode:04o}: others can look in", hint)
    free = shutil.disk_usage(there).free
    hint = "" if free >= LEAST_FREE else "make room: without it nothing can be written down, and so nothing is done"
    made = "" if there == state else "; it is made at the first start"
    state_of = State.FINE if free >= LEAST_FREE else State.BAD
    yield Finding("directory", state_of, f"{state}, {free >> 20} MiB free{made}", hint)


def _store(state: Path, now: float) -> Iterator[Finding]:
    """Whether the trail can be read, and whether our clock is behind it."""
    from audit.journal import JournalError  # noqa: PLC0415
    from audit.stores.sqlite import SqliteStore  # noqa: PLC0415

    if not (state / STORE).exists():
        yield Finding("store", State.NOTE, f"no trail in {state} yet", "`auto loop` makes it")
        return
    try:
        with contextlib.closing(SqliteStore.open(state / STORE, read_only=True)) as store:
            seq, _ = store.head()
            last = next(iter(store.after(seq - 1)), None) if seq else None
    except JournalError as error:
        yield Finding("store", State.BAD, f"the trail can not be read: {error}", "`auto audit verify` says more")
        return
    yield Finding("store", State.FINE, f"{seq} records; `auto audit verify` checks them all")
    ahead = (last.at if last is not None else 0.0) - now
    if ahead > 1.0:
        hint = "set the clock; until then times stand still at the last record's"
        yield Finding("clock", State.BAD, f"the clock is {ahead:.0f} s behind the last record", hint)
    else:
        yield Finding("clock", State.FINE, "not behind the last record")


def _policies(settings: Settings) -> Iterator[Finding]:
    from policies.load import load_files, load_folder  # noqa: PLC0415
    from telemetry.signals.load import load_signals  # noqa: PLC0415

    signals = load_signals(settings.signals)
    for problem in signals.problems:
        yield Finding("signals", State.BAD, str(problem), "mend the file")
    if settings.policies is None:
        if settings.kubernetes == "off":
            yield Finding("policies", State.NOTE, "none: it only watches", "`auto policy list` shows what there is")
        return
    load = load_folder if settings.policies.is_dir() else lambda path, of: load_files([path], of)
    result = load(settings.policies, signals.signals)
    for found in result.problems:
        yield Finding("policies", State.BAD, str(found), "mend the file: the last good set stays in force")
    if not result.problems:
        modes = ", ".join(sorted({policy.mode.label for policy in result.policies})) or "none"
        yield Finding("policies", State.FINE, f"{len(result.policies)} in {settings.policies} (modes: {modes})")


def _sources(settings: Settings, now: float) -> Iterator[Finding]:
    from controller.compose import sources  # noqa: PLC0415 - the loop's parts, only where they are asked

    for source in sources(settings.state, settings.call_timeout):
        yield _source(source, now)


def _source(source: "Source", now: float) -> Finding:
    reading = source.read(now)
    if reading.error:
        hint = "`auto local up services.yaml` starts services; without them there is nothing to heal"
        return Finding("sources", State.NOTE, f"{source.name}: {reading.error}", hint)
    count = f", {len(reading.facts)} targets" if reading.platform else ""
    return Finding("sources", State.FINE, f"{source.name} answers{count}")
