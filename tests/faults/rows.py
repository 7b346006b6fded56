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
        waits: what is missing to show it; empty where it is shown. What needs a cluster skips where none can start.
    """

    id: str
    fault: str
    shows: str
    tests: tuple[str, ...] = ()
    waits: str = ""


FAULTS, WATCHES = "tests/faults", "tests/telemetry/kubernetes"
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
        "F5",
        "the API server is unreachable, hangs, is killed",
        "its targets are unknown, with the reason; no request hangs beyond its timeout; it is followed again",
        (
            f"{WATCHES}/test_real_faults.py -k 'refuses or hangs or killed'",
            "tests/actions/test_kubernetes_faults.py -k 'doubt or question or nobody or killed'",
        ),
    ),
    Row(
        "F6",
        "409, 429, 5xx, timeouts of the API server, before and after it wrote",
        "doubt is settled by reading, no double effect",
        ("tests/actions/test_kubernetes_faults.py", "tests/actions/test_kubernetes.py -k 'between or log'"),
    ),
    Row(
        "F7",
        "watches too old, silent, twice, out of order, with bookmarks only, cut each second",
        "what is here is what is there within ten seconds, or unknown",
        (
            f"{WATCHES}/test_reflector.py",
            f"{WATCHES}/test_real_watches.py -k 'too_old or three_times or order or bookmarks'",
            f"{WATCHES}/test_real_faults.py -k 'silent or cuts'",
        ),
    ),
    Row(
        "F8",
        "an API server that is behind answers lists from the past",
        "refused; nothing older than what was seen is taken, and what was healed is not healed again",
        (f"{WATCHES}/test_reflector.py -k past", f"{WATCHES}/test_real_watches.py -k past"),
    ),
    Row(
        "F9",
        "events that never come",
        "missed by what others say, and listed again",
        (f"{WATCHES}/test_source.py -k missed", f"{WATCHES}/test_real_watches.py -k 'word or never_come'"),
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
        "each right is taken away",
        "what is missing is named and asked for once, the rest goes on; given back, it acts; none but the declared",
        (
            "tests/helm/test_rights.py",
            f"{WATCHES}/test_real_faults.py -k 'right or rights or forbidden'",
            "tests/actions/test_kubernetes.py -k rights",
            "tests/helm/test_controller.py -k right",
            "tests/helm/test_doctor.py -k right",
            "tests/helm/test_install.py -k 'declared or granted or taken_away'",
        ),
    ),
    Row("F32", "secrets wherever users have them", "0 hits in any output", (f"{FAULTS}/test_canaries.py",)),
    Row("F4", "a leader is stopped and goes on", "old calls are refused", waits="a second replica"),
    Row("F10", "PostgreSQL is killed in each phase", "no duplicates", waits="the PostgreSQL store"),
    Row("F11", "PostgreSQL read-only, full, rewound", "fails closed", waits="the PostgreSQL store"),
    Row("F14", "partitions of a replica", "as F4", waits="a second replica"),
    Row("F18", "Prometheus is down, slow, partial", "as F17", waits="the Prometheus source"),
    Row("F25", "upgrade and downgrade with open intents", "all histories replay", waits="a first release"),
    Row("F30", "tenants try to escape", "0 succeed", waits="tests that try it in a cluster"),
)
