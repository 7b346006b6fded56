"""What holds for every test."""

import signal

from tests.controlplane.fixture import cluster, namespace  # noqa: F401  fixtures for all rooms

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background jobs so, and children inherit it: the tests that press Ctrl-C would wait for ever
    signal.signal(signal.SIGINT, signal.default_int_handler)
