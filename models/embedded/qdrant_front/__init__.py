"""A thin REST front over Qdrant's own engine, for `strata up` and the tests.

The unmodified `qdrant_client` talks to it over REST (there is no gRPC listener). The engine gives
one shard per folder; collections, aliases, keys, index building and HTTP are added here. Nothing
of Strata outside this package is imported.
"""
