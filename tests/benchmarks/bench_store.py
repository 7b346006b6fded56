"""The trail: an intent made durable, and the whole of it verified."""

import tempfile
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from audit.journal import Claim, Entry, Spend
from audit.stores.sqlite import SqliteStore
from audit.verify import verify
from tests.benchmarks.rows import Row

COMMITS, BODY = 2_000, b'{"kind":"intent"}' * 45  # 0.8 KB, as an intent has


def run() -> list[Row]:
    """Commits of an intent with claim, release and budget, one transaction each, and a verification of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trail.db"
        with closing(SqliteStore(path)) as store:
            epoch = store.lead("bench")
            times = sorted(_commit(store, epoch, number) for number in range(COMMITS))
        began = perf_counter()
        report = verify(path)
        speed = report.records / (perf_counter() - began)
    cuts = quantiles(times, n=100)
    return [
        Row(f"intent commit, SQLite, {COMMITS} one by one, p50", cuts[49] * 1000, "ms"),
        Row(f"intent commit, SQLite, {COMMITS} one by one, p99", cuts[98] * 1000, "ms", must=5),
        Row("verify the trail, records a second", speed, "1/s"),
    ]


def _commit(store: SqliteStore, epoch: int, number: int) -> float:
    entry = Entry(float(number), "controller", "Intent", "hang:shop/checkout", BODY)
    began = perf_counter()
    store.append(
        [entry],
        epoch=epoch,
        claims=[Claim(f"object {number}", f"holder {number}")],
        releases=[f"holder {number - 1}"],
        spends=[Spend("policy:hang/3600s", float(number), 1, 1_000_000, 3600.0)],
    )
    return perf_counter() - began
