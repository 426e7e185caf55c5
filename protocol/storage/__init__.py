"""Content-addressed storage: everything is fetched by a root and checked against it before use."""

from protocol.storage.store import ContentMissing, ContentStore, ContentWrong

__all__ = ["ContentMissing", "ContentStore", "ContentWrong"]
