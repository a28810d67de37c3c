"""Which parts of a document stand in several places, by aliases."""

from attrs import frozen

from numa_trio.workloads.fields import Steps
from numa_trio.workloads.lint.finding import Edit


@frozen
class SharedParts:
    """The lists and mappings of a document that stand in more than one place, by their ids."""

    value: object
    ids: frozenset[int]

    def touches(self, edit: Edit) -> bool:
        """Whether an edit would change something in another place too."""
        return any(id(part) in self.ids for part in _on_the_way(self.value, edit.steps[:-1]))


def shared_parts(value: object) -> SharedParts:
    """What the document that has this value shares."""
    seen: set[int] = set()
    shared: set[int] = set()
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict | list):
            continue
        if id(part) in seen:
            shared.add(id(part))
            continue
        seen.add(id(part))
        waiting += part.values() if isinstance(part, dict) else part
    return SharedParts(value, frozenset(shared))


def _on_the_way(value: object, steps: Steps) -> list[object]:
    """The lists and mappings from the whole to where the steps lead, as far as there are any."""
    found = [value]
    for step in steps:
        match value, step:
            case dict(entries), str(key) if key in entries:
                value = entries[key]
            case list(elements), int(number) if number < len(elements):
                value = elements[number]
            case _:
                break
        found.append(value)
    return found
