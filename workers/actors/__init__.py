"""The Dramatiq actors: thin skins over plain functions. Importing them binds them to our broker."""

import workers.broker  # noqa: F401  # first: an actor takes the broker that is set when it is declared
