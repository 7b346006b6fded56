"""What a test needs of the machine: without it the test skips with the reason, in CI it fails.

A test that silently did not run proves nothing, so `TESTS_MAY_NOT_SKIP=1` (set by the CI script, which installs the
tools) forbids skips.
"""

import os

import pytest


def need(condition: object, why: str) -> None:
    """Go on only if `condition` holds; else skip, or fail where `TESTS_MAY_NOT_SKIP=1`.

    Args:
        condition: anything; its truth counts.
        why: what is missing and how to get it, e.g. "needs strace (apt-get install strace)".
    """
    if condition:
        return
    if os.environ.get("TESTS_MAY_NOT_SKIP") == "1":
        pytest.fail(f"TESTS_MAY_NOT_SKIP=1 allows no skip: {why}", pytrace=False)
    pytest.skip(why)
