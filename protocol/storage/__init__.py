"""Content-addressed storage: everything is fetched by a root and checked against it before use.

``ContentServer`` is in ``protocol.storage.server``: whoever serves nothing need not import it.
"""

from protocol.storage.errors import (
    AddressRefused,
    ContentMissing,
    ContentUnreachable,
    ContentWrong,
    StoreUnusable,
)
from protocol.storage.layered import LayeredStore, open_store
from protocol.storage.limits import Limits
from protocol.storage.store import ContentStore, Store

__all__ = [
    "AddressRefused",
    "ContentMissing",
    "ContentStore",
    "ContentUnreachable",
    "ContentWrong",
    "LayeredStore",
    "Limits",
    "Store",
    "StoreUnusable",
    "open_store",
]
