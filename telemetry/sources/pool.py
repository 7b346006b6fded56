"""Threads that are there before they are needed."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def ready_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool that never starts a thread again.

    A thread that is born while memory is short can die before it says that it lives, and who started it waits for ever.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    all_there = Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(all_there.wait)
    all_there.wait()
    return pool
