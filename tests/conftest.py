"""Where fixtures come from, and what a test may assume of the machine."""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures.plugins",
    "tests.fixtures.servers",
    "tests.fixtures.stores",
    "tests.fixtures.collector",
    "tests.fixtures.stack",
    "tests.fixtures.api",
]

# How fast a machine is and which examples it draws must not decide whether a change is good.
settings.register_profile(
    "same everywhere",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same everywhere")
