"""Every string has one code, whoever asks first."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from telemetry.words import Words


def test_a_string_keeps_its_code() -> None:
    words = Words()
    assert [words.code(word) for word in ("a", "b", "a", "")] == [0.0, 1.0, 0.0, 2.0]
    assert [words.word(code) for code in (0.0, 1.0, 2.0)] == ["a", "b", ""]
    assert len(words) == 3
    assert words.since(1) == ["b", ""]


def test_none_is_unknown() -> None:
    codes = Words().codes(["x", None, "x"])
    assert codes[0] == codes[2] == 0.0
    assert np.isnan(codes[1])


def test_threads_that_bring_the_same_strings_get_the_same_codes() -> None:
    words = Words()
    names = [f"name-{at}" for at in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: [words.code(name) for name in names], range(8))]
    assert all(codes == found[0] for codes in found)
    assert sorted(found[0]) == list(range(2000))
    assert [words.word(code) for code in found[0]] == names
