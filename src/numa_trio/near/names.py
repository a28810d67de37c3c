"""Which names stand for which things of the host: `NUMA_NEAR` and the file `NUMA_NEAR_FILE`.

What is wrong with a name costs that name only.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from attrs import frozen

from numa_trio.locality.target import Target, parse_target
from numa_trio.plain_text import quoted
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.resource import NEAR, NEAR_VOLUME

# With what may follow it, a device's id still has at most kubelet's 63 characters.
LONGEST_NAME = 32

# As many as a fleet of servers may need together.
MOST_NAMES = 256

# Of what is wrong, so much is told one by one.
_MOST_PROBLEMS = 20
_MOST_SAID = 3  # in one problem

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SEPARATOR = re.compile(r"[,\n]")
_LONGEST_SHOWN = 300


@frozen
class Entry:
    """A name and a target as they were written, and where."""

    source: str
    name: str
    target: str


@frozen
class NearName:
    """A name, and the thing that the resources of that name are near."""

    name: str
    target: Target


@frozen
class NearNames:
    """The names that can be used, in the order in which they were given.

    `problems` say what is wrong with others; `remarks` what is odd about these.
    """

    names: tuple[NearName, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def entries_in(text: str, source: str) -> tuple[list[Entry], list[str]]:
    """The entries of `name=target,name=target`, and what is wrong with others.

    A line's end separates as well as a comma does.
    """
    entries, problems = [], []
    for item in filter(None, map(str.strip, _SEPARATOR.split(text))):
        name, equals, target = item.partition("=")
        if equals:
            entries.append(Entry(source, name.strip(), target.strip()))
        else:
            problems.append(
                f"{source}: {quoted(item, _LONGEST_SHOWN)}: expected name=target, as in"
                " data=/var/lib/data (a target with a comma needs NUMA_NEAR_FILE)"
            )
    return entries, problems


def near_names(entries: Iterable[Entry], problems: Iterable[str] = ()) -> NearNames:
    """The names of these entries. Of a name that is given two targets, none counts."""
    found: dict[str, list[tuple[Entry, Target]]] = {}
    trouble = list(problems)
    for entry in entries:
        try:
            check_name(entry.name)
            target = parse_target(entry.target)
        except ValueError as problem:
            trouble.append(f"{_shown(entry)}: {problem}")
        else:
            found.setdefault(entry.name, []).append((entry, target))
    if excess := [*found][MOST_NAMES:]:
        trouble.append(
            f"{len(found)} names are given; expected at most {MOST_NAMES}: {excess[0]} and those"
            " after it stand for nothing"
        )
    names = []
    for name, given in islice(found.items(), MOST_NAMES):
        if len({(target.kind, target.name, target.prefixed) for _, target in given}) > 1:
            several = " and ".join([_shown(entry) for entry, _ in given[:_MOST_SAID]])
            more = f" and {len(given) - _MOST_SAID} more" if len(given) > _MOST_SAID else ""
            trouble.append(
                f"{several}{more}: expected one target for {name}; it stands for none of these"
            )
        else:
            names.append(NearName(name, given[0][1]))
    return NearNames(tuple(names), first_of(trouble), tuple(_remarks(names)))


def first_of(problems: Sequence[str]) -> tuple[str, ...]:
    """The problems, of very many only the first."""
    more = len(problems) - _MOST_PROBLEMS
    rest = (f"{more} more problems with names",) if more > 0 else ()
    return (*problems[:_MOST_PROBLEMS], *rest)


def check_name(name: str) -> None:
    """Raise `ValueError` if resources cannot have the name `near-<name>`."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ValueError(
            f"expected a name of at most {LONGEST_NAME} letters, digits, '-', '_' or '.', with a"
            " letter or digit first and last, as in data"
        )
    if NEAR + name == NEAR_VOLUME:
        raise ValueError(
            f"expected another name: {NEAR_VOLUME} is near a volume that a pod says (NUMA_NRI)"
        )
    if kind := is_counted(name):
        raise ValueError(
            f"expected a name that does not end in {kind}: near-<name>-{kind} is what is"
            " counted next to near-<name>"
        )


def is_counted(name: str) -> Counted | None:
    """What `near-<name>` would count, if that is something counted next to another name."""
    return next((kind for kind in Counted if f"-{name}".endswith(f"-{kind}")), None)


def _remarks(names: Iterable[NearName]) -> Iterator[str]:
    """What is odd, but works."""
    alike: dict[tuple[object, str, bool], list[NearName]] = {}
    for each in names:
        key = (each.target.kind, each.target.name, each.target.prefixed)
        alike.setdefault(key, []).append(each)
    for several in alike.values():
        if len(several) > 1:
            yield (
                f"{' and '.join(each.name for each in several)} name the same thing,"
                f" {quoted(several[0].target.text, _LONGEST_SHOWN)}: each has slots of its own"
            )


def _shown(entry: Entry) -> str:
    return f"{entry.source}: {quoted(f'{entry.name}={entry.target}', _LONGEST_SHOWN)}"
