"""What the annotations of a workload and its namespace allow: read by the inventory, and again before every write."""

from telemetry.sources.kubernetes.objects import Annotations

LOWEST = 1
"""Fewest instances where no annotation says otherwise: to stop a workload is nobody's remedy."""
HIGHEST = 1_000_000


def opted_out(workload: Annotations, namespace: Annotations) -> str:
    """Why its people want no action on it, in their words where they gave any; empty where they do not object."""
    for annotations, where in ((workload, "workload"), (namespace, "namespace")):
        said = annotations.disabled
        if said is not None and said.strip().lower() != "false":
            plain = said.strip().lower() in ("", "true")
            return f"opted out by gyrostat.dev/disabled on the {where}" if plain else said.strip()
    return ""


def bounds(workload: Annotations) -> tuple[int, int]:
    """Fewest and most instances that its people allow; an annotation that is no number allows no change at all."""
    try:
        lowest = LOWEST if workload.fewest is None else int(workload.fewest)
        highest = HIGHEST if workload.most is None else int(workload.most)
    except ValueError:
        return 1, 0
    return lowest, highest
