"""The pods and templates in a document, whatever else is there."""

from collections.abc import Iterator

from attrs import frozen

from numa_trio.workloads.controllers import CONTROLLERS, check_version
from numa_trio.workloads.fields import BadFile, Field
from numa_trio.workloads.lint.finding import Remark

_KINDS = {"Pod": "v1", **{kind: each.version for kind, each in CONTROLLERS.items()}}
_LISTS = {"List", *(f"{kind}List" for kind in _KINDS)}
_MOST_LEVELS = 8  # of lists in lists


@frozen
class Template:
    """A pod, or the template of what makes pods, and the object that it stands in."""

    kind: str
    whole: Field
    pod: Field

    @property
    def name(self) -> str:
        """As kubectl has it, `deployment/web`; without a name the kind alone."""
        name = self.whole.below("metadata", "name").value
        name = self.whole.below("metadata", "generateName").value if name is None else name
        return f"{self.kind.lower()}/{name}" if isinstance(name, str) else self.kind.lower()

    @property
    def is_bare(self) -> bool:
        """Whether nobody would make the pod anew."""
        return self.kind == "Pod" and not self.whole.below("metadata", "ownerReferences").value


def templates_in(document: Field, levels: int = 0) -> Iterator[Template | Remark | str]:
    """What a document has: templates, objects that are not as they should be, kinds passed over."""
    kind = document.below("kind").value
    if not isinstance(kind, str):
        yield "(none)"
    elif kind in _LISTS and levels < _MOST_LEVELS:
        try:
            for item in document.below("items").elements():
                yield from templates_in(item, levels + 1)
        except BadFile as problem:
            yield refusal(document, problem)
    elif kind in _KINDS and _same_group(document.below("apiVersion").value, _KINDS[kind]):
        try:
            yield _template(document, kind)
        except BadFile as problem:
            yield refusal(document, problem)
    else:
        yield kind


def refusal(inside: Field, problem: BadFile) -> Remark:
    """The finding that says what the API server would object to, at its place."""
    below = problem.steps[len(inside.steps) :]
    field = inside.below(*below)
    return Remark("NA100", f"the API server would refuse it: {problem.problem}.", (field,))


def _same_group(version: object, expected: str) -> bool:
    """Whether it is Kubernetes' own kind, if of an old version, and not another's of that name."""
    if not isinstance(version, str):
        return True
    return version.rpartition("/")[0] == expected.rpartition("/")[0]


def _template(document: Field, kind: str) -> Template:
    if kind == "Pod":
        check_version(document, "v1")
        return Template(kind, document, document)
    return Template(kind, document, CONTROLLERS[kind].template(document))
