"""What becomes of a thing that is there, but of which nothing tells a NUMA node."""

from enum import StrEnum


class UnknownNode(StrEnum):
    """`skip`: it is not offered. `any`: it is, without a node, so that kubelet aligns nothing."""

    SKIP = "skip"
    ANY = "any"
