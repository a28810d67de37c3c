"""What the tests of faults share: how long the resources may take to be back."""

import pytest

from fault_matrix import fault_matrix


@pytest.fixture
def back(request: pytest.FixtureRequest) -> float:
    """The seconds in the column *back* of the test's own row in docs/reliability.md."""
    seconds = fault_matrix()[request.node.originalname].back
    assert seconds is not None, "the row says that nothing has to come back"
    return seconds
