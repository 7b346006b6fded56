"""Windows: times at which a policy may act, or may not."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from telemetry.documents import InvalidError
from telemetry.documents.problems import shown

_CRON = 'five fields, minute hour day month weekday, like "0 9 * * 1-5"'
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)  # where the search for a first start begins; any date would do
_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Window:
    """Opens at each time of a cron schedule, for a while.

    Attributes:
        schedule: five fields of cron, in local time of the zone.
        duration: seconds it stays open.
        zone: whose clock the schedule means.
    """

    schedule: str
    duration: float
    zone: ZoneInfo

    def open_at(self, now: float) -> bool:
        """Whether it is open at this epoch second; its start belongs to it, its end does not."""
        after = datetime.fromtimestamp(now - self.duration, self.zone)
        start = next(CronSim(self.schedule, after), None)
        return start is not None and start.timestamp() <= now


def check_schedule(schedule: str) -> str:
    """The schedule, if it is one that ever starts.

    Raises:
        InvalidError: it is no cron schedule, or never comes.
    """
    if len(schedule.split()) != _FIELDS:
        raise InvalidError(f"{shown(schedule)} is not a cron schedule", _CRON)
    try:
        next(CronSim(schedule, _ANY_DAY))
    except (CronSimError, StopIteration) as error:
        why = str(error).lower() or "it never comes"
        raise InvalidError(f"{shown(schedule)} is not a cron schedule: {why}", _CRON) from None
    return schedule


def zone(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        InvalidError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is an OSError
        raise InvalidError(f"{shown(name)} is not a time zone", "like UTC or Europe/Berlin") from None
