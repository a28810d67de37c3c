"""The container runtime of a node of the fake cluster, and what the plugin says of it."""

from attrs import frozen

from e2e.fake_faults import Fault


@frozen
class FakeRuntime:
    """It `pins` CPUs and memory, if the plugin is set to ask it to."""

    pins: bool
    faults: frozenset[Fault]

    def tell(self) -> str:
        """What the plugin's pod prints of it."""
        lines = [
            f"NUMA_NRI={'cpus,mems' if self.pins else 'off'}",
            "NUMA_MEMORY_POLICY=bind",
            "ready: kubelet holds the stream of 2 of 2 resources",
        ]
        if self.pins:
            away = Fault.RUNTIME_AWAY in self.faults
            lines.append("not pinning: /nri.sock: gone" if away else "pinning: by fake 1.0")
        return "".join(f"{line}\n" for line in lines)

    def narrowed(
        self, given: frozenset[int], own: frozenset[int], *, unless: Fault
    ) -> frozenset[int]:
        """What a container gets of the CPUs or memory nodes that kubelet gave it.

        The NUMA node has its `own`.
        """
        if not self.pins or {unless, Fault.RUNTIME_AWAY} & self.faults:
            return given
        return given & own or given
