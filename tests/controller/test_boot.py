"""What of the time between two leaderships was a jump of the wall clock."""

import json
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime

import pytest

from controller.boot import FILE, jumped, remember

NOW = 1_700_000_000.0


@pytest.mark.parametrize("jump", [3600.0, 864_000.0, 5_500_000_000.0])
def test_what_did_not_pass_is_a_jump(tmp_path: Path, jump: float) -> None:
    remember(tmp_path, NOW)
    assert jumped(tmp_path, NOW + jump) == pytest.approx(jump, abs=1)


def test_what_passed_is_none(tmp_path: Path) -> None:
    remember(tmp_path, NOW)
    known = json.loads((tmp_path / FILE).read_bytes())
    assert jumped(tmp_path, NOW) == 0
    assert jumped(tmp_path, NOW - 3600) == 0  # back is no time either; the trail's time stands still for that
    (tmp_path / FILE).write_text(json.dumps(known | {"uptime": clock_gettime(CLOCK_BOOTTIME) - 3600}))
    assert jumped(tmp_path, NOW + 3600) == 0


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"boot": "x", "uptime": "y", "at": 1}', "\0"])
def test_where_it_can_not_be_told_the_clock_is_believed(tmp_path: Path, content: str) -> None:
    assert jumped(tmp_path, NOW) == 0
    (tmp_path / FILE).write_text(content)
    assert jumped(tmp_path, NOW + 864_000) == 0


def test_over_a_reboot_the_clock_is_believed(tmp_path: Path) -> None:
    remember(tmp_path, NOW)
    known = json.loads((tmp_path / FILE).read_bytes())
    (tmp_path / FILE).write_text(json.dumps(known | {"boot": "another"}))
    assert jumped(tmp_path, NOW + 864_000) == 0


def test_it_is_its_users_own(tmp_path: Path) -> None:
    remember(tmp_path, NOW)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    remember(tmp_path / "not there", NOW)  # and a state directory that can not be written costs nothing else
