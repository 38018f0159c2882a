"""Where fixtures come from, and what a test may assume of the machine."""

pytest_plugins = [
    "tests.fixtures.plugins",
    "tests.fixtures.servers",
    "tests.fixtures.stores",
    "tests.fixtures.collector",
    "tests.fixtures.stack",
    "tests.fixtures.api",
]
