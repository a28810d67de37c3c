"""Settings that every test shares."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# grpcio's threads live through the forks of the tests that start processes; it need not help.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# No test is timed: a loaded machine must not fail one.
settings.register_profile("numa-trio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("numa-trio")

# For whoever runs all tests many times: on other Pythons, and (always alike, and only asking
# whether they fail) in `just mutants`.
settings.register_profile("brief", settings.get_profile("numa-trio"), max_examples=30)
settings.register_profile(
    "mutants",
    settings.get_profile("brief"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the path of a socket has 107 bytes at the most."""
    with tempfile.TemporaryDirectory(
        prefix="numa-", dir="/tmp", ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory)
