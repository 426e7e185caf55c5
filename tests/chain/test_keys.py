"""Keystores and passwords: what is accepted, and that no message repeats a secret."""

from __future__ import annotations

import io
import json
import os
import stat
import traceback
from pathlib import Path

import pytest
from eth_account import Account

from protocol.chain.keys import (
    DEVELOPMENT_ACCOUNTS,
    DEVELOPMENT_CHAIN_ID,
    KeysError,
    ask_new_password,
    generate_private_key,
    list_keystores,
    load_account,
    parse_private_key,
    read_address,
    read_password,
    write_keystore,
)

KEY = bytes.fromhex("e5" * 32)
PASSWORD = "correct horse battery staple"
MNEMONIC = "test " * 11 + "junk"


def keystore_of(folder: Path, key: bytes, name: str = "key.json") -> Path:
    """With the least work factor: opening one of full strength takes half a second."""
    file = folder / name
    file.write_text(json.dumps(Account.encrypt(key, PASSWORD, iterations=2)))
    return file


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    return file


def test_written_keystore_opens_again_and_is_its_owners_alone(tmp_path, password_file) -> None:
    file = tmp_path / "keys" / "new.json"
    old_mask = os.umask(0)
    try:
        address = write_keystore(file, KEY, PASSWORD)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    document = json.loads(file.read_text())
    assert (document["version"], document["crypto"]["kdf"]) == (3, "scrypt")
    assert document["crypto"]["kdfparams"]["n"] == 2**18
    assert KEY.hex() not in file.read_text()
    account = load_account(file, password_file, chain_id=1)
    assert account.address == address == read_address(file)
    assert bytes(account.key) == KEY


def test_existing_keystore_is_never_overwritten(tmp_path) -> None:
    file = keystore_of(tmp_path, KEY)
    before = file.read_bytes()
    with pytest.raises(KeysError, match="a lost key cannot be had again"):
        write_keystore(file, generate_private_key(), PASSWORD)
    assert file.read_bytes() == before


def test_failed_write_leaves_no_half_keystore(tmp_path, monkeypatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_keystore(tmp_path / "key.json", KEY, PASSWORD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o644])
def test_password_file_that_others_can_use_is_refused_with_the_remedy(password_file, mode) -> None:
    password_file.chmod(mode)
    with pytest.raises(KeysError, match=f"mode is {mode:04o}") as caught:
        read_password(password_file)
    assert f"chmod 600 {password_file}" in caught.value.todo


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_password_is_the_first_line_without_its_end(password_file, mode) -> None:
    password_file.write_text(f" {PASSWORD} \r\nsecond line\n")
    password_file.chmod(mode)
    assert read_password(password_file) == f" {PASSWORD} "


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n"])
def test_password_file_without_a_password_is_refused(password_file, content) -> None:
    password_file.write_bytes(content)
    with pytest.raises(KeysError, match="password file"):
        read_password(password_file)


@pytest.mark.parametrize(("mode", "is_taken"), [(0o400, True), (0o440, True), (0o444, False)])
def test_password_file_of_systemd_may_show_the_mask_of_its_access_list(
    password_file, monkeypatch, mode, is_taken
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(password_file.parent))
    password_file.chmod(mode)
    if is_taken:
        assert read_password(password_file) == PASSWORD
        return
    with pytest.raises(KeysError, match=f"{mode:04o}"):
        read_password(password_file)


def test_password_file_beside_the_credentials_of_systemd_must_be_private(
    password_file, monkeypatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(password_file.parent / "credentials"))
    password_file.chmod(0o440)
    with pytest.raises(KeysError, match="0440"):
        read_password(password_file)


def test_missing_password_file_and_missing_terminal_are_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(KeysError, match="No such file"):
        read_password(tmp_path / "none")
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    with pytest.raises(KeysError, match="no terminal to ask at"):
        load_account(keystore_of(tmp_path, KEY), None, 1)


def test_password_is_asked_for_at_a_terminal(tmp_path, monkeypatch) -> None:
    answers = iter([PASSWORD, "first", "second", "same", "same"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(answers))
    assert load_account(keystore_of(tmp_path, KEY), None, 1).key == KEY
    with pytest.raises(KeysError, match="the two inputs differ"):
        ask_new_password(None)
    assert ask_new_password(None) == "same"


def test_wrong_password_is_told_without_the_password(tmp_path, password_file) -> None:
    password_file.write_text("wrong password\n")
    with pytest.raises(KeysError, match="the password is wrong") as caught:
        load_account(keystore_of(tmp_path, KEY), password_file, 1)
    assert "wrong password" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 4}, "its version is 4"),
        ({"version": None}, "its version is None"),
        ({"crypto": {}}, "no keystore of version 3"),
        ({"crypto": {"ciphertext": "00"}}, "malformed"),
        ({"address": "00" * 20}, "its key is that of"),
    ],
)
def test_malformed_keystore_is_refused(tmp_path, password_file, change, says) -> None:
    file = keystore_of(tmp_path, KEY)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(KeysError, match=says):
        load_account(file, password_file, 1)


@pytest.mark.parametrize("content", ["", "[]", "3", "{}", "not json", "\x00"])
def test_file_that_is_no_keystore_is_refused(tmp_path, password_file, content) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(KeysError, match="no keystore of version 3"):
        load_account(file, password_file, 1)


def test_development_accounts_are_those_of_the_well_known_mnemonic() -> None:
    Account.enable_unaudited_hdwallet_features()
    derived = {
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{i}").address
        for i in range(20)
    }
    assert derived == DEVELOPMENT_ACCOUNTS


@pytest.mark.parametrize("index", [0, 19])
def test_development_key_is_refused_except_on_a_development_chain(
    tmp_path, password_file, index
) -> None:
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    file = keystore_of(tmp_path, bytes(account.key))
    for chain_id in (1, 1337, 11155111):
        with pytest.raises(KeysError, match=f"the chain id is {chain_id}, not 31337"):
            load_account(file, password_file, chain_id)
    assert load_account(file, password_file, DEVELOPMENT_CHAIN_ID).address == account.address


def test_keystore_cannot_hide_a_development_key_behind_another_address(
    tmp_path, password_file
) -> None:
    Account.enable_unaudited_hdwallet_features()
    key = bytes(Account.from_mnemonic(MNEMONIC).key)
    file = keystore_of(tmp_path, key)
    document = json.loads(file.read_text())
    del document["address"]
    file.write_text(json.dumps(document))
    with pytest.raises(KeysError, match="well-known development key"):
        load_account(file, password_file, 1)


@pytest.mark.parametrize("text", ["0x" + "e5" * 32, "e5" * 32 + "\n", "  0x" + "E5" * 32])
def test_raw_keys_are_read_in_their_usual_forms(text) -> None:
    assert parse_private_key(text) == KEY


ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"


@pytest.mark.parametrize("text", ["", "0x", "e5" * 31, "e5" * 33, "g5" * 32, "00" * 32, ORDER])
def test_texts_that_are_no_key_are_refused_without_repeating_them(text) -> None:
    with pytest.raises(KeysError, match="private key") as caught:
        parse_private_key(text)
    told = "".join(traceback.format_exception(caught.value))
    assert len(text) < 3 or text not in told


def test_listing_leaves_out_what_is_no_keystore(tmp_path) -> None:
    file = keystore_of(tmp_path, KEY, "one.json")
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "folder").mkdir()
    assert list_keystores(tmp_path) == {file: Account.from_key(KEY).address}
    assert list_keystores(tmp_path / "none") == {}


def test_empty_password_is_refused_for_a_new_keystore(tmp_path) -> None:
    with pytest.raises(KeysError, match="empty password"):
        write_keystore(tmp_path / "key.json", KEY, "")
    assert not (tmp_path / "key.json").exists()
