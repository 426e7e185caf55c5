"""Which addresses are opened: strangers may name anything, and get nothing but public HTTP."""

from __future__ import annotations

import ipaddress

import pytest

from protocol.storage import AddressRefused, ContentUnreachable, Limits, open_store
from protocol.storage.address import checked_url, is_public
from protocol.storage.http import Fetcher, HttpLocation
from protocol.storage.objects import wanted_blob

NAME = bytes(32)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://store.example.org", "https://store.example.org"),
        ("http://store.example.org:8080/a/b/", "http://store.example.org:8080/a/b"),
        ("http://8.8.8.8", "http://8.8.8.8"),
        ("http://[2606:4700::1111]:80/x", "http://[2606:4700::1111]/x"),
    ],
)
def test_public_http_address_is_opened(address, url) -> None:
    assert str(checked_url(address, allow_private=False)) == url


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ftp://store.example.org", "scheme is 'ftp'"),
        ("file:///etc/passwd", "scheme is 'file'"),
        ("s3://bucket/key", "scheme is 's3'"),
        ("memory://x", "scheme is 'memory'"),
        ("gopher://store.example.org/", "scheme is 'gopher'"),
        ("store.example.org", "scheme is 'none'"),
        ("", "scheme is 'none'"),
        ("http://", "no host|cannot be read"),
        ("http:///x", "no host|cannot be read"),
        ("http://store.example.org:99999", "cannot be read"),
        ("http://store.example.org/?a=b", "query"),
        ("http://store.example.org/#a", "fragment"),
        ("http://store.example.org/a b", "characters"),
        ("http://store.example.org\r\nX: y", "characters"),
        ("http://store.example.org\\@evil.example.org", "characters"),
        ("http://store\u3002example.org", "characters"),
        ("http://" + "a" * 2048, "2055 characters"),
        ("http://[::1", "cannot be read"),
    ],
)
def test_address_that_is_none_is_refused_even_on_a_devnet(address, why) -> None:
    with pytest.raises(AddressRefused, match=why):
        checked_url(address, allow_private=True)


def test_address_with_a_password_is_refused_without_repeating_it() -> None:
    for address in ("http://me:sesame@store.example.org/", "http://me@store.example.org/"):
        with pytest.raises(AddressRefused, match="user or password") as caught:
            checked_url(address, allow_private=True)
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.255.0.9", "localhost", "localhost.", "LOCALHOST", "a.localhost",
        "0.0.0.0",
        "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]",
        "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    ],
)  # fmt: skip
def test_private_host_is_refused_unless_allowed(host) -> None:
    address = f"http://{host}:8545"
    with pytest.raises(AddressRefused, match="not on the public internet"):
        checked_url(address, allow_private=False)
    assert checked_url(address, allow_private=True).port == 8545


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
def test_name_that_resolves_to_a_private_address_is_refused_on_connecting(host) -> None:
    """The system's resolver knows them, though they are not written as addresses are."""
    location = HttpLocation(f"http://{host}:9", Fetcher(Limits(), allow_private=False))
    with pytest.raises(ContentUnreachable, match=r"resolves to 127\.0\.0\.1|not a canonical"):
        location.read(wanted_blob(NAME, 10))


def test_wrapped_addresses_are_as_public_as_what_they_wrap() -> None:
    for inner, public in (("8.8.8.8", True), ("10.0.0.1", False)):
        number = int(ipaddress.IPv4Address(inner))
        for wrapped in ((0xFFFF << 32) + number, (0x64FF9B << 96) + number):
            assert is_public(ipaddress.IPv6Address(wrapped)) is public


def test_address_that_the_operator_chose_may_be_private(tmp_path) -> None:
    open_store(tmp_path, ["http://127.0.0.1:9"], Limits(allow_private=False))
    with pytest.raises(AddressRefused):
        open_store(tmp_path, ["http://127.0.0.1:9/?a"])
