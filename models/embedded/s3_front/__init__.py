"""An S3 server for laptops, tests and CI: Starlette in front of SQLite and plain files.

Started as `python -m models.embedded.s3_front --fd N --data DIR`; it imports nothing else of
Strata. Production uses a real store by its URL instead.
"""
