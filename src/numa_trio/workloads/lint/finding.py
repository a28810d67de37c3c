"""A finding: what is wrong, where, and what to write instead."""

from attrs import frozen

from numa_trio.workloads.fields import Field, Steps
from numa_trio.workloads.lint.codes import Severity

Scalar = str | int


@frozen
class Edit:
    """A change of a document: the steps lead to what gets the value; None takes it away."""

    steps: Steps
    value: Scalar | None


@frozen
class Place:
    """Where something stands: line and column from 1 on, and the path in the document."""

    line: int
    column: int
    path: str


@frozen
class Remark:
    """A finding before its places are known, at the fields that it is about.

    `edits` mend it without a decision of the author's, if there are any. `suggestion` has the
    lines to write.
    """

    code: str
    text: str
    fields: tuple[Field, ...]
    edits: tuple[Edit, ...] = ()
    suggestion: tuple[str, ...] = ()
    severity: Severity | None = None


@frozen
class Finding:
    """A finding in a file; the first of its places is the one to look at.

    `document` counts from 0, `object_name` is as in `deployment/web`. `held_back` says why the
    edits are not made.
    """

    file: str
    document: int
    object_name: str
    code: str
    severity: Severity
    text: str
    places: tuple[Place, ...]
    suggestion: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    held_back: str = ""

    @property
    def place(self) -> Place:
        """The first place."""
        return self.places[0]

    @property
    def fixable(self) -> bool:
        """Whether `--fix` would mend it."""
        return bool(self.edits) and not self.held_back
