"""Which names stand for which things, and what is said of names that cannot be used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.locality.target import Kind
from numa_trio.near.names import LONGEST_NAME, NearNames, check_name, entries_in, near_names
from numa_trio.plugin.resource import NumaResource
from numa_trio.setting_values import MAX_CAPACITY


def names_of(text: str) -> NearNames:
    entries, problems = entries_in(text, "NUMA_NEAR")
    return near_names(entries, problems)


def test_names_and_targets() -> None:
    """Commas or line ends between, blanks around, of any kind."""
    found = names_of(
        " data = /var/lib/data ,fabric=eth2\ngpu=0000:3b:00.0,\n,fast=/dev/disk/by-id/nvme-1 "
    )
    assert not found.problems
    assert [(each.name, each.target.kind, each.target.name) for each in found.names] == [
        ("data", Kind.MOUNT, "/var/lib/data"),
        ("fabric", None, "eth2"),
        ("gpu", Kind.PCI, "0000:3b:00.0"),
        ("fast", Kind.DISK, "/dev/disk/by-id/nvme-1"),
    ]


def test_target_may_have_an_equals_sign() -> None:
    """Only the first one separates."""
    (name,) = names_of("data=/srv/a=b").names
    assert name.target.name == "/srv/a=b"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("data", "NUMA_NEAR: 'data': expected name=target"),
        ("=/data", "NUMA_NEAR: '=/data': expected a name of at most 32"),
        ("a b=/data", "NUMA_NEAR: 'a b=/data': expected a name of at most 32"),
        ("data-=/data", "with a letter or digit first and last"),
        (f"{'x' * 33}=/data", "expected a name of at most 32"),
        ("cpu=/data", "expected a name that does not end in cpu"),
        ("data-memory=/data", "near-<name>-memory is what is counted next to near-<name>"),
        ("data=", "NUMA_NEAR: 'data=': expected a block device"),
        ("data=../x", "'data=../x': expected a block device"),
        ("data=disk:/x", "expected a path below /dev"),
    ],
)
def test_bad_entry_costs_only_itself(text: str, problem: str) -> None:
    """It is named with what is expected, and the others count."""
    found = names_of(f"good=/good,{text}")
    assert [each.name for each in found.names] == ["good"]
    (said,) = found.problems
    assert problem in said


def test_name_of_two_things_stands_for_none() -> None:
    """Which of them was meant nobody can know."""
    found = names_of("data=/a,data=/b,other=/c")
    assert [each.name for each in found.names] == ["other"]
    (problem,) = found.problems
    assert problem == (
        "NUMA_NEAR: 'data=/a' and NUMA_NEAR: 'data=/b': expected one target for data; it stands"
        " for none of these"
    )


def test_very_many_problems_are_not_told_one_by_one() -> None:
    """The log and `/readyz` stay readable, whatever somebody puts into the setting."""
    found = names_of("good=/good," + "x," * 30_000)
    assert [each.name for each in found.names] == ["good"]
    assert len(found.problems) == 21
    assert found.problems[-1] == "29980 more problems with names"


def test_name_of_very_many_things_names_few_of_them() -> None:
    """The problem is one line that can be read."""
    (problem,) = names_of(",".join(f"data=/{number}" for number in range(1000))).problems
    assert "'data=/2' and 997 more: expected one target for data" in problem
    assert len(problem) < 200


def test_names_beyond_those_that_a_fleet_needs() -> None:
    """The first count."""
    found = names_of(",".join(f"n{number}=/data" for number in range(1000)))
    assert [each.name for each in found.names] == [f"n{number}" for number in range(256)]
    assert found.problems == (
        "1000 names are given; expected at most 256: n256 and those after it stand for nothing",
    )


def test_name_given_twice_alike_counts_once() -> None:
    """However the target is written."""
    found = names_of("data=/a,data=//a/")
    assert [each.name for each in found.names] == ["data"]
    assert not found.problems


def test_two_names_of_one_thing_are_told() -> None:
    """Both count, for that may be meant."""
    found = names_of("data=net:eth2,fast=net:eth2,x=eth2")
    assert len(found.names) == 3
    assert found.remarks == (
        "data and fast name the same thing, 'net:eth2': each has slots of its own",
    )
    assert names_of("data=/a,fast=/a/").remarks


@given(st.text(min_size=1, max_size=40))
def test_every_name_that_is_allowed_can_be_a_resource(name: str) -> None:
    """With the longest that may follow: a glob's number, what is counted, a device's number."""
    try:
        check_name(name)
    except ValueError:
        return
    assert len(name) <= LONGEST_NAME
    NumaResource(f"near-{name}-1023-memory", (0,), MAX_CAPACITY)


@given(st.text(max_size=200))
def test_whatever_the_setting_holds_is_understood_or_told(text: str) -> None:
    """Each part becomes a name or a problem, and nothing raises."""
    found = names_of(text)
    given_parts = [part for part in text.replace("\n", ",").split(",") if part.strip()]
    assert len(found.names) + len(found.problems) <= len(given_parts)
    assert bool(found.names or found.problems) == bool(given_parts)
