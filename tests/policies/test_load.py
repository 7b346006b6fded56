import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.load import MAX_FILES, load_files, load_folder, together
from telemetry.documents import MAX_BYTES
from telemetry.documents.problems import MAX_PROBLEMS
from telemetry.expression import MAX_OPERATIONS_OF_A_SET

from .make import costly, text

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
EXPECT = "# expect: "


def test_the_corpus_is_there():
    assert len(BAD) > 100


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_policy_is_refused_with_exactly_these_messages(path: Path):
    expected = [line.removeprefix(EXPECT) for line in path.read_text().splitlines() if line.startswith(EXPECT)]
    result = load_files([path])
    assert result.policies == ()
    assert expected
    assert [str(problem).removeprefix(f"{path}:") for problem in result.problems] == expected


DOCUMENT = text()
HOSTILE = {
    "ten megabytes": ("# " + "x" * 10_000_000 + "\n" + DOCUMENT, f"1:1: is too large (at most {MAX_BYTES} bytes)"),
    "brackets": (text(when="[" * 20_000), "6:39: spec.when[0]: is nested too deeply"),
    "braces": (text(when="{a: " * 20_000), "spec.when.a: is nested too deeply"),
    "alias bomb": (
        text(when="&a [x]", until=f"[{', '.join(['*a'] * 9)}]"),
        "6:9: spec.when: &a is an anchor",
    ),
    "values": (text(when="[" + "1, " * 20_000 + "]"), "has too many values"),
    "wrong names": (text(targets="{names: [" + "1, " * 9000 + "]}"), "spec.targets.names[0]: must be text, not 1"),
    "unknown keys": (text() + "".join(f"  k{i}: 1\n" for i in range(4000)), "spec.k0: is an unknown key"),
    "keys without value": (text() + "".join(f"  k{i}:\n" for i in range(4000)), "has no value"),
    "parentheses": (text(when="(" * 200 + "probe.ok" + ")" * 200), "spec.when: nested deeper than 32"),
    "nots": (text(when="'" + "!" * 2000 + "probe.ok'"), "spec.when: nested deeper than 32"),
    "or terms": (text(when=" || ".join(["probe.ok"] * 10_000)), "spec.when: the expression is longer than 4096 bytes"),
    "megabyte of condition": (text(when='"' + "x" * 1_000_000 + '"'), "spec.when: the expression is longer"),
    "byte order mark": ("\ufeff" + DOCUMENT, "1:1: starts with a byte order mark"),
    "NUL": (DOCUMENT + "# \0", "is UTF-16 or binary|holds the hidden character U\\+0000"),
    "empty": ("", "1:1: is empty"),
    "nothing but a separator": ("---\n", "1:1: is empty"),
    "UTF-16": (DOCUMENT.encode("utf-16"), "1:1: is UTF-16 or binary"),
    "Latin-1": (DOCUMENT.encode() + b"# \xe9", "is not UTF-8"),
    "too long to be negated": (
        text(when=f'"{" || ".join(["probe.ok"] * 341)}      "'),
        "6:9: spec.when: is too long or too deep to be negated (give until)",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path):
    content, expected = HOSTILE[name]
    path = tmp_path / "p.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = load_files([path])
    assert result.policies == ()
    first = str(result.problems[0])
    assert expected in first or re.search(expected, first), first
    assert len(result.problems) <= 2 * MAX_PROBLEMS


def test_a_folder_is_read_in_full_and_only_its_yaml_files(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(text() + "---\n" + text().replace("hung", "other"))
    (tmp_path / "b.yml").write_text(text(namespace=None))
    (tmp_path / ".c.yaml.swp").write_text("]")
    (tmp_path / ".d.yaml").write_text("]")
    (tmp_path / "README.md").write_text("]")
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "f.yaml").write_text("]")
    result = load_folder(tmp_path)
    assert [policy.name for policy in result.policies] == ["hung", "shop/hung", "shop/other"]
    assert result.problems == ()


def test_an_empty_folder_has_no_policies_and_a_missing_one_is_a_problem(tmp_path: Path):
    assert load_folder(tmp_path).problems == ()
    (problem,) = load_folder(tmp_path / "x").problems
    assert str(problem) == f"{tmp_path}/x:1:1: cannot be read: no such file or directory"
    (problem,) = load_folder(Path(__file__)).problems
    assert problem.message == "cannot be read: not a directory"


def test_a_name_that_is_given_twice_names_both_places_and_neither_is_used(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("\n" + text())
    (tmp_path / "b.yaml").write_text(text(mode="Enforce") + "---\n" + text().replace("hung", "other"))
    result = load_folder(tmp_path)
    assert [policy.name for policy in result.policies] == ["shop/other"]
    (problem,) = result.problems
    assert str(problem) == (
        f"{tmp_path}/b.yaml:3:18: metadata.name: shop/hung is already given in {tmp_path}/a.yaml:4:18 (rename one)"
    )


def test_the_same_name_in_two_namespaces_is_two_policies(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(text() + "---\n" + text(namespace="blog"))
    assert [policy.name for policy in load_folder(tmp_path).policies] == ["blog/hung", "shop/hung"]


def test_a_bad_file_spoils_no_other_and_every_problem_is_reported(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(text())
    (tmp_path / "b.yaml").write_text("]")
    (tmp_path / "c.yaml").write_text(
        text(mode="enforce", namespace="blog") + "---\n" + text(namespace="mail", when="x")
    )
    result = load_folder(tmp_path)
    assert [policy.name for policy in result.policies] == ["shop/hung"]
    assert [Path(problem.file).name for problem in result.problems] == ["b.yaml", "c.yaml", "c.yaml"]


def _directory(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")  # a path of any length
    finally:
        os.close(here)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_directory, "is a directory, not a file"),
        (os.mkfifo, "is a pipe, not a file"),
        (_socket, "cannot be read: no such device or address"),
        (lambda path: path.symlink_to("/dev/null"), "is a link out of its folder"),
        (lambda path: path.symlink_to("/etc/passwd"), "is a link out of its folder"),
        (lambda path: path.symlink_to(path), "cannot be read: "),
        (lambda path: path.symlink_to(path.parent / "gone"), "cannot be read: no such file or directory"),
    ],
)  # fmt: skip
def test_what_is_no_regular_file_in_the_folder_is_refused_without_reading_it(make, message: str, tmp_path: Path):
    make(tmp_path / "a.yaml")
    (problem,) = load_folder(tmp_path).problems
    assert problem.message.startswith(message)
    assert load_folder(tmp_path).policies == ()


def test_a_device_that_is_named_is_refused():
    (problem,) = load_files([Path("/dev/zero")]).problems
    assert str(problem) == "/dev/zero:1:1: is a device, not a file (a regular file)"
    (problem,) = load_files([Path("a\0b")]).problems
    assert problem.message.startswith("cannot be read: ")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root reads everything: be somebody else for a while."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    yield
    os.seteuid(me)


def test_a_file_without_permission_is_a_problem(tmp_path: Path, nobody: None):
    path = tmp_path / "a.yaml"
    try:
        path.write_text(text())
        path.chmod(0)
    except PermissionError:
        pass  # the folder is root's own, which is as unreadable
    assert load_files([path]).problems[0].message == "cannot be read: permission denied"


def test_links_inside_the_folder_are_followed_as_configmap_mounts_need(tmp_path: Path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.yaml").write_text(text())
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    result = load_folder(tmp_path)
    assert (len(result.policies), result.problems) == (1, ())


def test_a_folder_behind_a_link_is_read():
    with tempfile.TemporaryDirectory() as name:
        real, link = Path(name) / "real", Path(name) / "link"
        real.mkdir()
        (real / "a.yaml").write_text(text())
        link.symlink_to(real)
        assert len(load_folder(link).policies) == 1


def test_a_folder_of_too_many_files_is_refused_whole(tmp_path: Path):
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.yaml").touch()
    result = load_folder(tmp_path)
    assert result.policies == ()
    assert result.problems[0].message == f"holds {MAX_FILES + 1} files"


def test_a_set_that_takes_more_operations_than_a_tick_has_is_refused_and_says_by_how_much(tmp_path: Path):
    """P27: each of them is within its own limit."""
    for number in range(MAX_OPERATIONS_OF_A_SET // 252):
        (tmp_path / f"{number:03}.yaml").write_text(costly(number))
    allowed = load_folder(tmp_path)
    assert allowed.problems == ()
    assert together(allowed.policies) > 0.95 * MAX_OPERATIONS_OF_A_SET
    for number in range(900, 905):
        (tmp_path / f"{number:03}.yaml").write_text(costly(number))
    (problem,) = load_folder(tmp_path).problems
    assert re.fullmatch(r"the policies take 2\d{4} operations a tick, more than 20000", problem.message)
    assert problem.hint == "use fewer policies, or simpler conditions"
