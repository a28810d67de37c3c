"""What is deployed to the cluster, and how patiently it is tested."""

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

# What pods are to be near: a directory of every server, its PCI devices near each NUMA node, and
# something that no server has.
ROOT, CARDS, NOWHERE = "root", "cards", "nowhere"
NAMES = {ROOT: "/", CARDS: "pci:*", NOWHERE: "mount:/no/such/mount"}


@frozen
class Plan:
    """One run of the test. Times are in seconds.

    `near` are names of what pods are to be near, with their targets.
    """

    overlay: Path
    image: str
    pod_image: str
    namespace: str
    domain: str = "numa-align"
    capacity: int = 100
    other_capacity: int = 7
    components: tuple[Path, ...] = ()
    near: Mapping[str, str] = field(factory=dict)
    timeout: float = 300
    poll: float = 1
    # Long enough for kubelet to post its status, and for a lost stream to show in it.
    settle: float = 15
    # What makes dead pods has made some by then: the first within seconds.
    overfull: float = 60

    def settings(self, capacity: int) -> list[str]:
        """The plugin's settings, as `NAME=value`."""
        settings = [f"NUMA_CAPACITY={capacity}"]
        if self.near:
            names = ",".join(f"{name}={target}" for name, target in self.near.items())
            # The disks of most virtual machines tell no node: what is then offered is tested, too.
            settings += [f"NUMA_NEAR={names}", "NUMA_NEAR_UNKNOWN=any"]
        return settings
