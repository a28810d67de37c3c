"""Edits as the lines of YAML to write, from the container on."""

from collections.abc import Sequence

from numa_trio.workloads.fields import Field, plain
from numa_trio.workloads.lint.finding import Edit

Tree = dict[str, "Tree | str"]


def lines_of(document: Field, edits: Sequence[Edit]) -> tuple[str, ...]:
    """The lines; each container by its name, and what is to go as a comment."""
    found: list[str] = []
    trees: dict[tuple[str | int, ...], Tree] = {}
    for edit in edits:
        whose = _container_steps(edit)
        if edit.value is None:
            field = document.below(*edit.steps)
            found.append(f"# without {field.path}")
        else:
            _put(trees.setdefault(whose, {}), edit)
    for steps, tree in trees.items():
        name = document.below(*steps, "name").value
        lines = list(_indented(tree, 0))
        if name is not None:
            lines = [f"- name: {plain(str(name))}", *(f"  {line}" for line in lines)]
        found += lines
    return tuple(found)


def _container_steps(edit: Edit) -> tuple[str | int, ...]:
    """The steps to the container, which is the last element of a list on the way."""
    numbers = [place for place, step in enumerate(edit.steps) if isinstance(step, int)]
    return edit.steps[: numbers[-1] + 1] if numbers else ()


def _put(tree: Tree, edit: Edit) -> None:
    *way, last = [str(step) for step in edit.steps[len(_container_steps(edit)) :]]
    for step in way:
        inner = tree.setdefault(step, {})
        assert isinstance(inner, dict)
        tree = inner
    tree[last] = str(edit.value)


def _indented(tree: Tree, depth: int) -> list[str]:
    lines = []
    for key, value in tree.items():
        start = f"{'  ' * depth}{plain(key)}:"
        if isinstance(value, dict):
            lines += [start, *_indented(value, depth + 1)]
        else:
            lines.append(f"{start} {plain(value)}")
    return lines
