"""A Deployment's pods on one NUMA node of the fake cluster, made and placed as in a real one."""

from attrs import Factory, define

from e2e.fake_faults import Fault
from e2e.kubectl import Json


@define
class Crowd:
    """`replicas` pods that each ask for `resource`, of which `room` fit at once."""

    replicas: int
    room: int
    resource: str
    faults: frozenset[Fault]
    pods: dict[str, Json] = Factory(dict)
    _made: int = 0
    _left: bool = False

    def look(self) -> list[Json]:
        """The pods after the controller has made what is missing, and the scheduler placed it."""
        for _ in range(self.replicas - sum(self._lives(pod) for pod in self.pods.values())):
            name = f"pod-{self._made}"
            self.pods[name] = {"metadata": {"name": name}, "status": self._waits()}
            self._made += 1
        blocked = Fault.MACHINE_FULL in self.faults or (
            self._left and Fault.NOBODY_COMES_IN in self.faults
        )
        for pod in self.pods.values():
            if pod["status"]["phase"] == "Pending" and not blocked:
                pod["status"] = self._placed()
        return list(self.pods.values())

    def leave(self, name: str) -> None:
        """A pod is deleted."""
        if self.pods.pop(name, None):
            self._left = True

    def _placed(self) -> Json:
        if sum(pod["status"]["phase"] == "Running" for pod in self.pods.values()) < self.room:
            return {"phase": "Running"}
        if Fault.FULL_NODE_KILLS in self.faults:
            message = "Pod was rejected: Resources cannot be allocated with Topology locality"
            return {"phase": "Failed", "reason": "TopologyAffinityError", "message": message}
        return self._waits()

    def _waits(self) -> Json:
        lacking = self.resource
        if Fault.MACHINE_FULL in self.faults:
            lacking = "cpu"
        elif Fault.WAITS_FOR_OTHER in self.faults:
            lacking = f"{self.resource}s"
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        message = f"0/2 nodes are available: 1 Insufficient {lacking}, 1 node(s) didn't match …"
        return {"phase": "Pending", "conditions": [condition | {"message": message}]}

    @staticmethod
    def _lives(pod: Json) -> bool:
        return bool(pod["status"]["phase"] != "Failed")
