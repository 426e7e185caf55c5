"""URLs as they may be shown: without the credentials that providers put into them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "…"
# Long words, except roots and hashes, which name what is stored.
_KEY_LIKE = re.compile(r"(?<![\w-])(?!(?:0x)?[0-9a-f]{64}(?![\w-]))[\w-]{20,}")


def redact_url(text: str) -> str:
    """Return a URL without user, password, query, and words of its path that look like API keys.

    Anything that is no URL with a host comes back as it is.
    """
    try:
        parts = urlsplit(text)
        host = parts.hostname
        port = parts.port
    except ValueError:
        return text
    if not (parts.scheme and host):
        return text
    place = f"[{host}]" if ":" in host else host
    place = f"{HIDDEN}@{place}" if "@" in parts.netloc else place
    place = place if port is None else f"{place}:{port}"
    path = _KEY_LIKE.sub(HIDDEN, parts.path)
    query = HIDDEN if parts.query else ""
    return urlunsplit((parts.scheme, place, path, query, ""))
