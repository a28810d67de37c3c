"""What the machine of the host's service told: moments, and what kubelet did until each of them."""

from collections.abc import Sequence

from attrs import frozen

from infra.observing import Fact, Observations

RESOURCES = frozenset({"numa-align/numa-0", "numa-align/numa-1"})


@frozen
class Life:
    """What a kubelet did from its start to the next one's, or until the moment was told."""

    lines: Sequence[Fact]

    def times(self, *facts: str) -> list[float]:
        """When these facts were written down."""
        return [line["at"] for line in self.lines if line["fact"] in facts]

    @property
    def registered(self) -> float:
        """When the last of all resources had been registered."""
        first: dict[str, float] = {}
        for line in self.lines:
            if line["fact"] == "Register answered":
                first.setdefault(line["subject"], line["at"])
        assert first.keys() == RESOURCES
        return max(first.values())


def moment(seen: Observations, name: str) -> Fact:
    """What was told of a moment."""
    (fact,) = (each for each in seen.all("moment") if each["moment"] == name)
    return fact


def last_life(fact: Fact) -> Life:
    """The kubelet that a moment ended with."""
    lines = fact["kubelet"]
    (start, *_) = [n for n in reversed(range(len(lines))) if lines[n]["fact"] == "started"]
    return Life(lines[start:])


def seconds(timestamp: str) -> float:
    """A timestamp of systemd's, on the clock of the facts."""
    return int(timestamp) / 1e6


def longest_away(fact: Fact) -> float:
    """The longest time in seconds that a resource had no slot, while the same kubelet ran."""
    gone: dict[str, float] = {}
    longest = 0.0
    for line in fact["kubelet"]:
        assert line["fact"] != "started"
        if line["fact"] == "allocatable":
            for resource, count in line["resources"].items():
                if count:
                    longest = max(longest, line["at"] - gone.pop(resource, line["at"]))
                else:
                    gone.setdefault(resource, line["at"])
    assert not gone
    return longest


def journals(seen: Observations, boot: int, unit: str) -> list[list[str]]:
    """What a unit said from a boot to the next: the lines of its only journal."""
    told = seen.all("journal")
    return [fact["lines"] for fact in told if (fact["number"], fact["unit"]) == (boot, unit)]
