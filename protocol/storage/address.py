"""Which addresses an agent opens. Strangers announce theirs on chain, and could name anything.

A name is checked twice: as it is written, and, because a name may lead anywhere, again as the
addresses it resolves to, at the moment of connecting (``GuardedResolver``).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from protocol.storage.errors import READ_MORE, AddressRefused

MAX_URL_CHARACTERS: Final = 2048
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked_url(address: str, *, allow_private: bool) -> URL:
    """The address of an HTTP store, without a slash at its end. AddressRefused says why not."""
    if len(address) > MAX_URL_CHARACTERS:
        raise AddressRefused(
            f"an address of {len(address)} characters is refused: the most is {MAX_URL_CHARACTERS}"
        )
    if not (address.isascii() and address.isprintable()) or "\\" in address or " " in address:
        raise _refused(address, "it has characters that no address has")
    try:
        url = URL(address)
        port = url.port
    except ValueError as error:
        raise _refused(address, f"it cannot be read ({error})") from error
    if url.scheme not in ("http", "https"):
        raise _refused(address, f"its scheme is {url.scheme or 'none'!r}, not http or https")
    if url.user is not None or url.password is not None:
        raise AddressRefused("an address with a user or password in it is refused: take it out")
    if not url.host or not port:
        raise _refused(address, "it names no host and port")
    if url.query_string or url.fragment:
        raise _refused(address, "it has a query or a fragment")
    if not allow_private and is_private_host(url.host):
        raise _refused(address, f"{url.host} is not on the public internet")
    return url.with_path(url.path.rstrip("/"))


def is_private_host(host: str) -> bool:
    """Whether a host is written as an address that is not on the public internet."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return False  # a name: GuardedResolver looks at what it resolves to


def is_public(address: _Address) -> bool:
    """Whether an address is on the public internet, and so is each address wrapped in it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses one that leads anywhere but to the public internet."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As aiohttp asks. AddressRefused, OSError."""
        found = await self._resolver.resolve(host, port, family)
        for entry in found:
            if not is_public(ipaddress.ip_address(entry["host"])):
                raise _refused(host, f"it resolves to {entry['host']}, not on the public internet")
        return found

    async def close(self) -> None:
        """Nothing is held open."""
        await self._resolver.close()


def _refused(address: str, why: str) -> AddressRefused:
    return AddressRefused(
        f"the address {address[:200]!r} is refused: {why}; name a store at a public http(s) "
        f"address, or allow private ones on a devnet; see {READ_MORE}"
    )
