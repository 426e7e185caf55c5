"""URLs as they may be shown: without the credentials that providers put into them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "…"
_KEY_LIKE = re.compile(r"[A-Za-z0-9_-]{20,}")


def redact_url(text: str) -> str:
    """Return a URL without user, password, query values and path segments that look like API keys.

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
    path = "/".join(HIDDEN if _KEY_LIKE.fullmatch(s) else s for s in parts.path.split("/"))
    query = HIDDEN if parts.query else ""
    return urlunsplit((parts.scheme, place, path, query, ""))
