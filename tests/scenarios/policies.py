"""The policies of the simulation: every action, ladder, mode and budget, with short times."""

from typing import Any


def documents(edition: int) -> dict[str, dict[str, Any]]:
    """The policies; each edition differs from the one before in something that no budget depends on."""
    verify = {"initialDelay": "2s", "within": f"{10 + edition % 3}s"}

    def spec(limit: int, **given: Any) -> dict[str, Any]:
        throttle = {
            "cooldown": "8s",
            "limits": [{"max": limit, "per": "60s"}, {"max": limit * 6, "per": "10m"}],
            "maxConcurrent": 8,
            "maxUnavailable": "100%",
        }
        base = {"mode": "Enforce", "for": "0s", "minConfidencePercent": 0, "throttle": throttle, "verify": verify}
        return {**base, "targets": {"allowAll": True}, **given}

    def tier(name: str) -> dict[str, Any]:
        return {"selector": {"matchLabels": {"tier": name}}}

    forceful = {"type": "Restart", "restart": {"how": "Forceful", "instances": "All"}}
    return {
        "restart": spec(60, when="!probe.ok", action={"type": "Restart"}, targets=tier("web"), priority=edition % 100),
        "ladder": spec(
            40,
            when="instances.sick > 0.0",
            until="probe.ok",
            targets=tier("db"),
            actions=[{"type": "HealthCheck"}, {"type": "Restart"}, forceful],
            onFailure="Next",
            priority=60,
        ),
        "hot": spec(
            60,
            when="cpu.ratio > 0.8",
            until="cpu.ratio < 0.75",
            action={"type": "Scale", "scale": {"by": "+3", "releaseStep": 2}, "hold": "12s"},
            severity="Critical",
        ),
        "spread": spec(
            40,
            when="instances.sick > 0.6",
            until="instances.sick < 0.1 && cpu.ratio < 0.45",
            targets=tier("batch"),
            action={"type": "Scale", "scale": {"by": "+50%"}, "hold": "20s"},
        ),
        "shift": spec(
            40,
            when="memory.ratio > 0.8",
            until="memory.ratio < 0.5",
            targets=tier("cache"),
            actions=[{"type": "Scale", "scale": {"by": "+1"}, "hold": "9s"}, {"type": "Restart"}],
            onFailure="Next",
        ),
        "sure": spec(
            40,
            when="cpu.ratio > 0.7 && memory.ratio > 0.7",
            until="cpu.ratio < 0.7",
            minSamples=1,
            minConfidencePercent=80,
            targets=tier("db"),
            action={"type": "Scale", "scale": {"by": "+1"}, "hold": "10s"},
        ),
        "ask": spec(
            20,
            mode="Approve",
            when="memory.ratio > 0.9",
            until="memory.ratio < 0.5",
            targets=tier("web"),
            action={"type": "Restart", "restart": {"instances": "All"}},
        ),
        "watch": spec(
            99,
            mode="Observe",
            when="!probe.ok || cpu.ratio > 0.8",
            action={"type": "Restart"},
            severity="Critical",
            priority=100,
        ),
    }
