"""Objects that make pods of a template: Deployments, Jobs and the like."""

from collections.abc import Mapping

from attrs import frozen

from numa_trio.workloads.fields import Field

MOST_REPLICAS = 2**31 - 1  # what the API server takes


@frozen
class Controller:
    """Where a kind has its template; `count` is the field of its spec that says how many pods."""

    version: str
    count: str | None = None
    path: tuple[str, ...] = ("spec", "template")

    def template(self, document: Field) -> Field:
        """The template of an object of this kind; raises `BadFile`."""
        check_version(document, self.version)
        for key in self.path:
            document = document.child(key)
        return document

    def replicas(self, document: Field) -> int | None:
        """How many pods the object makes; None where that depends on the cluster."""
        if self.count is None:
            return None
        field = document.child("spec").child(self.count)
        return 1 if field.value is None else field.whole_number(0, MOST_REPLICAS)


CONTROLLERS: Mapping[str, Controller] = {
    "Deployment": Controller("apps/v1", "replicas"),
    "StatefulSet": Controller("apps/v1", "replicas"),
    "DaemonSet": Controller("apps/v1"),
    "ReplicaSet": Controller("apps/v1", "replicas"),
    "ReplicationController": Controller("v1", "replicas"),
    "Job": Controller("batch/v1", "parallelism"),
    "CronJob": Controller("batch/v1", path=("spec", "jobTemplate", "spec", "template")),
}


def check_version(document: Field, expected: str) -> None:
    """Raise `BadFile` if the object is of another version than this."""
    version = document.child("apiVersion")
    if version.value != expected:
        raise version.bad(expected)
