"""Settings that every test shares."""

import os

from hypothesis import HealthCheck, settings

# grpcio's threads live through the forks of the tests that start processes; it need not help.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# No test is timed: a loaded machine must not fail one.
settings.register_profile("numa-trio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("numa-trio")
