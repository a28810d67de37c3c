"""What the tests of the stand-in share: a runtime that runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nri_runtime.runtime import StandInRuntime, open_runtime


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[StandInRuntime]:
    """containerd with NRI 0.6.1."""
    async with open_runtime(tmp_path / "nri") as made:
        await made.start()
        yield made
