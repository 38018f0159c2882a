"""Runs clairvoyance with ten guesses in a document; it has no option for that.

With its usual 64 a document has more root fields than the API admits, and a refusal that says
nothing of any of them makes it believe in all of them. Run by the interpreter that it is
installed for.
"""

import sys

from clairvoyance.cli import cli  # type: ignore[import-not-found]
from clairvoyance.config import Config  # type: ignore[import-not-found]

Config.bucket_size = property(lambda _: 10)
cli(sys.argv[1:])
