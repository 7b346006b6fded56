"""What the processes of this machine use, of each target the instance that uses most."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import psutil

from telemetry.inventory import Facts, Instance, Sample
from telemetry.sources import Reading
from telemetry.target import Target

_SAME_START = 2.0  # seconds; the kernel's start time is counted from a boot time that is known to the second


class Inventory(Protocol):
    """Who knows which processes belong to which target.

    Attributes:
        facts: the targets; an incarnation is `pid@start`.
        limits: bytes and cores allowed to one instance, each None where not declared.
    """

    facts: Mapping[Target, Facts]
    limits: Mapping[Target, tuple[int | None, float | None]]


class HostSource:
    """Measures the processes of an inventory.

    Attributes:
        name: `host`.
    """

    name = "host"

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._cpu: dict[str, tuple[float, float]] = {}  # by incarnation: when, and CPU seconds used until then

    def read(self, now: float) -> Reading:
        """Measure once; a process that is gone, or is another one by now, is left out."""
        samples: list[Sample] = []
        seen: dict[str, tuple[float, float]] = {}
        refused = ""
        for target, facts in self._inventory.facts.items():
            limits = self._inventory.limits.get(target, (None, None))
            worst: dict[str, float] = {}
            measured = 0
            for instance in facts.instances:
                try:
                    values = dict(self._measure(instance, limits, now, seen))
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue
                except (psutil.Error, OSError) as error:
                    refused = f"{target.ref} slot {instance.slot}: {error}"
                    continue
                measured += bool(values)
                for column, value in values.items():
                    worst[column] = max(value, worst.get(column, value))
            samples += [Sample(target, column, value, now, measured) for column, value in worst.items()]
        self._cpu = seen
        return Reading(now, samples=samples, error=refused)

    def _measure(
        self,
        instance: Instance,
        limits: tuple[int | None, float | None],
        now: float,
        seen: dict[str, tuple[float, float]],
    ) -> Iterator[tuple[str, float]]:
        """Column and value of one process; nothing where none runs."""
        pid = instance.incarnation.partition("@")[0]
        if not pid.isdecimal():
            return
        process = psutil.Process(int(pid))
        with process.oneshot():
            ended = process.status() == psutil.STATUS_ZOMBIE  # it would be measured as using nothing
            if ended or abs(process.create_time() - instance.started_at) > _SAME_START:
                return  # or the id belongs to somebody else now
            times, resident = process.cpu_times(), process.memory_info().rss
            threads, files = process.num_threads(), process.num_fds()
            most_files, _ = process.rlimit(psutil.RLIMIT_NOFILE)
            cores = limits[1] or float(len(process.cpu_affinity() or [0]))
        used = times.user + times.system
        seen[instance.incarnation] = (now, used)
        at, before = self._cpu.get(instance.incarnation, (now, used))
        if now > at:  # a share needs two readings
            yield "cpu.ratio", max(0.0, used - before) / (now - at) / cores
        yield "memory.bytes", float(resident)
        yield "memory.ratio", resident / (limits[0] or psutil.virtual_memory().total)
        yield "threads.count", float(threads)
        yield "files.count", float(files)
        if most_files > 0:  # -1: no limit
            yield "files.ratio", files / most_files
