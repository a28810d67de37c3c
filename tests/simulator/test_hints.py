"""How the Topology Manager merges hints."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.simulator.hints import Hint, Hints, Nodes, Policy, hints_for, merge, node_sets

BOTH = frozenset({0, 1})


def preferred(*nodes: int) -> Hint:
    return Hint(frozenset(nodes), preferred=True)


def possible(*nodes: int) -> Hint:
    return Hint(frozenset(nodes), preferred=False)


def test_sets_of_nodes_from_small_to_large() -> None:
    """All sets but the empty one come, the smaller ones first."""
    assert list(map(set, node_sets([2, 0, 1]))) == [
        {0},
        {1},
        {2},
        {0, 1},
        {0, 2},
        {1, 2},
        {0, 1, 2},
    ]


def test_preferred_is_what_would_suffice_on_an_empty_machine() -> None:
    """If one node would do but only two have room now, then two are possible, not preferred."""
    hints = hints_for(BOTH, could=lambda nodes: True, can=lambda nodes: len(nodes) == 2)

    assert hints == [possible(0, 1)]


@pytest.mark.parametrize("policy", [Policy.RESTRICTED, Policy.SINGLE_NUMA_NODE])
def test_a_preference_that_cannot_be_met_is_refused(policy: Policy) -> None:
    """An empty list of hints means that nothing will do."""
    assert merge(policy, BOTH, [{"device": []}])[1] is False
    assert merge(Policy.BEST_EFFORT, BOTH, [{"device": []}]) == (possible(0, 1), True)


@pytest.mark.parametrize("provided", [[], [{}, {}], [{"device": None}]])
def test_no_preference_at_all(provided: list[dict[str, Hints]]) -> None:
    """Without any preference all nodes will do; single-numa-node says so with no nodes."""
    assert merge(Policy.RESTRICTED, BOTH, provided) == (preferred(0, 1), True)
    assert merge(Policy.SINGLE_NUMA_NODE, BOTH, provided) == (Hint(None, True), True)


def test_machine_with_one_node() -> None:
    """Where there is one node, single-numa-node admits it without naming it."""
    one = frozenset({0})

    assert merge(Policy.SINGLE_NUMA_NODE, one, [{"cpu": [preferred(0)]}]) == (
        Hint(None, True),
        True,
    )


def test_draw_goes_to_the_lower_numbers() -> None:
    """Among equally good nodes the one with the lowest number is taken."""
    hint, _ = merge(Policy.SINGLE_NUMA_NODE, BOTH, [{"cpu": [preferred(1), preferred(0)]}])

    assert hint == preferred(0)


def test_different_preferred_sets_are_not_preferred_together() -> None:
    """Two providers that each prefer other sets do not make a preferred hint of what they share."""
    provided = [{"cpu": [preferred(0, 1)]}, {"memory": [preferred(0)]}]

    assert merge(Policy.RESTRICTED, BOTH, provided) == (possible(0), False)


HINTS = st.lists(
    st.builds(
        Hint,
        st.none() | st.frozensets(st.integers(0, 2), min_size=1),
        st.booleans(),
    ),
    max_size=5,
)


@given(st.lists(HINTS, max_size=3))
def test_merges_as_if_every_choice_were_tried(lists: list[list[Hint]]) -> None:
    """Merging resource by resource gives the best of all choices of one hint a resource."""
    nodes = frozenset({0, 1, 2})

    merged, _ = merge(Policy.BEST_EFFORT, nodes, [dict(enumerate_names(lists))])

    assert merged == best_of_all_choices(nodes, lists)


def enumerate_names(lists: list[list[Hint]]) -> list[tuple[str, list[Hint]]]:
    return [(f"resource {number}", hints) for number, hints in enumerate(lists)]


def best_of_all_choices(nodes: Nodes, lists: Sequence[Sequence[Hint]]) -> Hint:
    """The rules of policy.go, one pairwise comparison after the other."""
    lists = [hints or [Hint(None, preferred=False)] for hints in lists]
    smallest = [min((len(h.nodes) for h in hints if h.nodes), default=0) for hints in lists]
    target = max(smallest, default=0)
    best: Hint | None = None
    for choice in product(*lists):
        named = [hint.nodes for hint in choice if hint.nodes is not None]
        shared = frozenset(nodes.intersection(*named))
        alike = all(each == named[0] for each in named)
        if shared:
            candidate = Hint(shared, alike and all(hint.preferred for hint in choice))
            best = candidate if best is None else better(best, candidate, target)
    return best or Hint(nodes, preferred=False)


def better(current: Hint, candidate: Hint, target: int) -> Hint:
    assert current.nodes is not None
    assert candidate.nodes is not None
    if current.preferred != candidate.preferred:
        return current if current.preferred else candidate
    old, new = len(current.nodes), len(candidate.nodes)
    numbers = {hint: sum(2**node for node in hint.nodes or ()) for hint in (current, candidate)}
    narrower = candidate if (new, numbers[candidate]) < (old, numbers[current]) else current
    if current.preferred or old > target:
        return narrower
    if old == target:
        return narrower if new == target else current
    if new > target:
        return current
    if new == target or new > old:
        return candidate
    return current if new < old else narrower


def test_closest_nodes_are_preferred() -> None:
    """Under `prefer-closest-numa-nodes`, of pairs that would do the closest one is taken."""
    nodes = frozenset({0, 1, 2})
    distances = {0: {0: 10, 1: 30, 2: 20}, 1: {0: 30, 1: 10, 2: 12}, 2: {0: 20, 1: 12, 2: 10}}
    pairs = [preferred(0, 1), preferred(0, 2), preferred(1, 2)]

    assert merge(Policy.RESTRICTED, nodes, [{"cpu": pairs}]) == (preferred(0, 1), True)
    assert merge(Policy.RESTRICTED, nodes, [{"cpu": pairs}], distances) == (preferred(1, 2), True)
    single = [{"cpu": [*pairs, preferred(0), preferred(1)]}]
    assert merge(Policy.RESTRICTED, nodes, single, distances) == (preferred(0), True)
    assert merge(Policy.SINGLE_NUMA_NODE, nodes, single, distances) == (preferred(0), True)
