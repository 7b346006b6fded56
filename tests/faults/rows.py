"""The rows of the fault matrix: which tests show each, and which run by themselves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        id: as the matrix names it.
        fault: what goes wrong, in words.
        shows: what must hold.
        tests: what pytest runs, relative to the repository; empty where the row waits.
        waits: why it can not be shown on one machine without a cluster; empty where it is.
    """

    id: str
    fault: str
    shows: str
    tests: tuple[str, ...] = ()
    waits: str = ""


FAULTS = "tests/faults"
ROWS = (
    Row(
        "F1",
        "kill -9 at every boundary of Do, Undo, Release and Redo",
        "nothing lost, doubled or left open; settled within 30 s",
        (f"{FAULTS}/test_restart_kills.py", f"{FAULTS}/test_scale_kills.py", f"{FAULTS}/test_checker.py"),
    ),
    Row(
        "F2",
        "kill -9 at each sync of the store",
        "0 acknowledged records lost",
        (f"{FAULTS}/test_sync_kills.py", "tests/audit/test_crashes.py -k kill_9"),
    ),
    Row(
        "F3",
        "power cut, and every state it may leave",
        "0 acknowledged records lost",
        (f"{FAULTS}/test_power_cuts.py", "tests/audit/test_crashes.py -k power_cut"),
    ),
    Row(
        "F12",
        "disk full, EIO, EROFS",
        "nothing new starts, status says why, it goes on unaided",
        (f"{FAULTS}/test_store_faults.py",),
    ),
    Row(
        "F13",
        "the clock jumps by an hour, ten days, to 2200 and back",
        "nothing expires early, nothing freezes, windows go by their zone",
        (f"{FAULTS}/test_clock_jumps.py", "tests/controller/test_clock.py", "tests/policies/test_windows.py"),
    ),
    Row(
        "F15",
        "clients of the control socket that never read, finish or stop",
        "no tick is late, each is cut and counted",
        (f"{FAULTS}/test_deaf_clients.py",),
    ),
    Row(
        "F16", "a flood of telemetry", "memory holds, all is counted, others are served", (f"{FAULTS}/test_floods.py",)
    ),
    Row(
        "F17",
        "telemetry stops: one target, a group, all",
        "unknown within two windows, nothing is done",
        (f"{FAULTS}/test_judged.py -k silent", "tests/scenarios/test_silence.py"),
    ),
    Row(
        "F19",
        "everything is sick at once, and recovers raggedly",
        "a storm in the next tick, nothing is done until it was calm",
        (
            f"{FAULTS}/test_judged.py -k storm",
            "tests/scenarios/test_judgement.py",
            "tests/controller/test_demo_storm.py",
        ),
    ),
    Row(
        "F20",
        "somebody takes our change back, again and again",
        "hands off after two",
        (
            f"{FAULTS}/test_judged.py -k takes_back",
            "tests/scenarios/test_judgement.py -k took_back",
            "tests/helm/test_end_to_end.py -k takes_back",
        ),
    ),
    Row(
        "F21",
        "a target is created again between plan and call",
        "refused by its uid",
        (f"{FAULTS}/test_stops.py -k created_again",),
    ),
    Row(
        "F22",
        "the cure makes it worse",
        "put back by its deadline, not moved to and fro",
        (f"{FAULTS}/test_judged.py -k no_better", "tests/scenarios/test_judgement.py -k worse"),
    ),
    Row(
        "F23",
        "a policy is edited, deleted or made invalid under way",
        "what was begun ends as it was begun; the last good set stays",
        (f"{FAULTS}/test_judged.py -k begun",),
    ),
    Row(
        "F24",
        "pause and freeze at each boundary, with the store gone, with the platform silent",
        "within a tick, over restarts",
        (f"{FAULTS}/test_stops.py -k 'pause or freeze or stop'", f"{FAULTS}/test_judged.py -k pause"),
    ),
    Row(
        "F26",
        "eighteen attacks on the trail, and a tail cut behind the exported checkpoints",
        "each is found at its record",
        (f"{FAULTS}/test_trail_attacks.py", "tests/audit/test_verify.py"),
    ),
    Row(
        "F27",
        "memory ends while an action is under way",
        "as F1",
        (f"{FAULTS}/test_memory_limit.py",),
    ),
    Row(
        "F29",
        "each right to write that the chart grants is taken away",
        "named, asked for once, the rest goes on; given back, it acts",
        ("tests/helm/test_rights.py",),
    ),
    Row("F32", "secrets wherever users have them", "0 hits in any output", (f"{FAULTS}/test_canaries.py",)),
    Row("F4", "a leader is stopped and goes on", "old calls are refused", waits="a second replica"),
    Row("F5", "the API is unreachable, black, slow", "nothing new, no thread stuck", waits="a cluster"),
    Row("F6", "409, 429, 5xx, timeouts of the API", "no double effect", waits="a cluster"),
    Row("F7", "watches that break or fall silent", "the cache converges", waits="a cluster"),
    Row("F8", "a stale API server", "nothing older than seen", waits="a cluster"),
    Row("F9", "missed events", "found by listing anew", waits="a cluster"),
    Row("F10", "PostgreSQL is killed in each phase", "no duplicates", waits="the PostgreSQL store"),
    Row("F11", "PostgreSQL read-only, full, rewound", "fails closed", waits="the PostgreSQL store"),
    Row("F14", "partitions of a replica", "as F4", waits="a second replica"),
    Row("F18", "Prometheus is down, slow, partial", "as F17", waits="the Prometheus source"),
    Row("F25", "upgrade and downgrade with open intents", "all histories replay", waits="a first release"),
    Row("F30", "tenants try to escape", "0 succeed", waits="a cluster"),
)
