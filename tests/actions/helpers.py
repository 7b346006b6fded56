from actions import health_check, restart
from telemetry.inventory import Facts, Instance
from telemetry.target import Target

TARGET = Target("memory", "Service", "shop", "checkout", "u1")


def facts(readiness: str = "+++", minimum: int = 0, maximum: int = 10, desired: int | None = None) -> Facts:
    """One instance per character: `+` ready, `-` sick, `?` not known, `.` not running."""
    ready = {"+": True, "-": False, "?": None, ".": None}
    instances = tuple(
        Instance(str(n), "" if c == "." else f"{100 + n}@5.0", ready[c], 5.0) for n, c in enumerate(readiness)
    )
    count = len(readiness) if desired is None else desired
    fields: dict[str, int | str | None] = {"desired": count}
    for instance in instances:
        fields[restart.path(instance.slot)] = instance.incarnation
        fields[health_check.path(instance.slot)] = None
    return Facts(1.0, count, readiness.count("+"), minimum, maximum, fields, instances)
