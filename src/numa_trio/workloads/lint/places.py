"""Lines and columns of what stands in a document, from the marks of YAML's parser."""

import yaml

from numa_trio.workloads.fields import Field, Steps
from numa_trio.workloads.lint.finding import Place

_MERGE = "tag:yaml.org,2002:merge"


def place_of(root: yaml.Node | None, field: Field) -> Place:
    """Where a field stands: its key, or the element of a list.

    Of a field that is missing, the nearest that it would stand in.
    """
    line, column = _mark(root, field.steps)
    return Place(line, column, field.path)


def _mark(root: yaml.Node | None, steps: Steps) -> tuple[int, int]:
    node, mark = root, root
    for step in steps:
        key, node = _entry(node, step)
        if key is None:
            break
        mark = key
    start = mark.start_mark if mark else None
    return (start.line + 1, start.column + 1) if start else (1, 1)


def _entry(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The node whose mark stands for the step, and the node behind it."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        element = node.value[step] if step < len(node.value) else None
        return element, element
    if not isinstance(node, yaml.MappingNode):
        return None, None
    for key, value in node.value:
        if key.value == step and key.tag != _MERGE:
            return key, value
    for key, value in node.value:
        if key.tag == _MERGE:
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for each in merged:
                found = _entry(each, step)
                if found[0] is not None:
                    return found
    return None, None
