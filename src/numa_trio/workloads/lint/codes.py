"""The codes of findings. docs/lint.md has a section for each; codes are never given anew."""

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen


class Severity(StrEnum):
    """How bad a finding is, in the words of SARIF."""

    ERROR = "error"  # no pod is pinned like this
    WARNING = "warning"  # some pods are not, or not for long
    NOTE = "note"  # it works here; elsewhere it may not

    @property
    def rank(self) -> int:
        """The higher, the worse."""
        return [Severity.NOTE, Severity.WARNING, Severity.ERROR].index(self)


@frozen
class Code:
    """What a code stands for, and how bad it is if nothing else is said."""

    title: str
    severity: Severity = Severity.ERROR


CODES: Mapping[str, Code] = {
    "NA001": Code("not Guaranteed"),
    "NA002": Code("CPU not a whole number"),
    "NA003": Code("requests differ from limits"),
    "NA004": Code("init container without the resource"),
    "NA005": Code("two nodes"),
    "NA006": Code("pod-level resources"),
    "NA007": Code("counted wrongly"),
    "NA008": Code("memory not whole bytes"),
    "NA100": Code("not what the API server takes"),
    "NA101": Code("in the requests only"),
    "NA102": Code("zero slots", Severity.WARNING),
    "NA103": Code("more slots than one", Severity.NOTE),
    "NA104": Code("a numbered node on any server", Severity.NOTE),
    "NA105": Code("bare pod", Severity.NOTE),
    "NA106": Code("init container with the resource in a bare pod", Severity.WARNING),
    "NA107": Code("a number and a name near something", Severity.WARNING),
    "NA108": Code("a resource that nobody offers", Severity.WARNING),
}
