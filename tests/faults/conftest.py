"""What the tests of faults share: how long it may take until all is back, and a node."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fault_matrix import fault_matrix
from runtime_rig import RuntimeRig, open_runtime_rig


@pytest.fixture
def back(request: pytest.FixtureRequest) -> float:
    """The seconds in the column *back* of the test's own row in docs/reliability.md."""
    seconds = fault_matrix()[request.node.originalname].back
    assert seconds is not None, "the row says that nothing has to come back"
    return seconds


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[RuntimeRig]:
    """With containerd 1.7 and NRI 0.6.1, the oldest that is known."""
    async with open_runtime_rig(tmp_path) as made:
        yield made
