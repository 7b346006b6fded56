"""Calendar work, on a thread of APScheduler. Its jobs read, and ask the loop through the inbox; they write nothing.

The ticks of the loop are not here: an interval job stops when the wall clock is set back (APScheduler 3.11.3).
"""

from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

from audit.verify import Report, verify
from controller.core.records import Verb
from controller.inbox import Ask, Waiting
from controller.instrumentation import Instruments

WHO = "schedule"
"""Actor of what is said from here."""

log = structlog.get_logger()


class Cron(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Five fields of cron, in UTC. APScheduler's own reading of them takes Sunday for Monday."""

    def __init__(self, schedule: str) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first time after both; the scheduler asks."""
        after = max(previous_fire_time or now, now)
        return next(CronSim(self._schedule, after.astimezone(UTC)), None)


class Schedule:
    """Verifies the whole trail at its times; one that is not what was written pauses the controller."""

    def __init__(self, store: Path, times: str, inbox: SimpleQueue[Waiting], instruments: Instruments) -> None:
        """`times` is a cron schedule in UTC."""
        self._store, self._inbox, self._instruments = store, inbox, instruments
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self.job = self._scheduler.add_job(
            self.verify, Cron(times), id="verify", coalesce=True, max_instances=1, misfire_grace_time=None
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def close(self) -> None:
        """End; a verification under way is finished first."""
        if self._scheduler.running:
            self._scheduler.shutdown()

    def verify(self) -> Report:
        """Verify now, and say what was found."""
        report = verify(self._store)
        self._instruments.verified(ok=report.ok)
        if report.ok:
            log.info("trail verified", records=report.records, vouched=report.vouched)
        else:
            log.error("trail is not what was written", first_bad=report.first_bad, problem=report.problem)
            why = f"the trail is not what was written: {report.problem}"
            self._inbox.put(Waiting(Ask(WHO, Verb.PAUSE, why)))
        return report
