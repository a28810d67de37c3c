"""Settings that every test shares."""

from hypothesis import HealthCheck, settings

# No test is timed: a loaded machine must not fail one.
settings.register_profile("numa-trio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("numa-trio")
