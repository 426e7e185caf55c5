"""Private keys on disk: encrypted keystores (version 3), opened with a password file or a prompt.

A key never comes from a flag, from the environment, or out of this module in any text: errors about
keys are raised without the library's own exception, which may quote the key.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

__all__ = [
    "DEVELOPMENT_ACCOUNTS",
    "DEVELOPMENT_CHAIN_ID",
    "KeysError",
    "ask_new_password",
    "generate_private_key",
    "list_keystores",
    "load_account",
    "parse_private_key",
    "read_address",
    "read_password",
    "write_keystore",
]

PAGE = "docs/operate/keys.md"

DEVELOPMENT_CHAIN_ID = 31337
"""The chain id of Hardhat's and anvil's own chains."""

DEVELOPMENT_ACCOUNTS = frozenset(
    {
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
        "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
        "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
        "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
        "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
        "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
        "0xBcd4042DE499D14e55001CcbB24a551F3b954096",
        "0x71bE63f3384f5fb98995898A86B02Fb2426c5788",
        "0xFABB0ac9d68B0B445fB7357272Ff202C5651694a",
        "0x1CBd3b2770909D4e10f157cABC84C7264073C9Ec",
        "0xdF3e18d64BC6A983f673Ab319CCaE4f1a57C7097",
        "0xcd3B766CCDd6AE721141F452C550Ca635964ce71",
        "0x2546BcD3c84621e976D8185a91A922aE77ECEc30",
        "0xbDA5747bFD65F08deb54cb465eB87D40e51B197E",
        "0xdD2FD4581271e230360230F9337D5c0430Bf44C0",
        "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199",
    }
)
"""The accounts of the mnemonic "test test … junk", whose keys everybody has."""

_HEX_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


class KeysError(Exception):
    """A key, keystore or password cannot be used.

    Attributes:
        what: What happened.
        why: Why.
        todo: What to do.
        read: Where to read about it.
    """

    def __init__(self, what: str, why: str, todo: str) -> None:
        super().__init__(f"{what}: {why}; {todo}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = PAGE


def load_account(keystore: Path, password_file: Path | None, chain_id: int) -> LocalAccount:
    """Open a keystore for one chain.

    Args:
        keystore: The encrypted key.
        password_file: The file with its password; without it the terminal is asked.
        chain_id: Where the account will act.

    Raises:
        KeysError: The keystore or its password is unusable, or everybody has this key and the chain
            is not a development chain.
    """
    document = _read_document(keystore)
    if password_file is None:
        password = _ask(f"password of {keystore}: ")
    else:
        password = read_password(password_file)
    account = _decrypt(document, password, keystore)
    if account.address in DEVELOPMENT_ACCOUNTS and chain_id != DEVELOPMENT_CHAIN_ID:
        raise KeysError(
            f"refused the key of {account.address}",
            f"it is a well-known development key and the chain id is {chain_id}, not "
            f"{DEVELOPMENT_CHAIN_ID}: everybody can spend what this account gets",
            "make a key of your own with `pinpoint wallet new`",
        )
    return account


def write_keystore(file: Path, private_key: bytes, password: str) -> str:
    """Encrypt a key into a new file that only its owner can read, and return its address.

    Raises:
        KeysError: The file exists, the password is empty, or the key is out of range.
    """
    from eth_account import Account

    if not password:
        raise KeysError(
            "refused an empty password",
            "anyone who gets the keystore could open it",
            "choose a long password, such as 32 random characters in a --password-file",
        )
    account = _account(private_key)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps(Account.encrypt(private_key, password, kdf="scrypt"))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeysError(
            f"refused to write the keystore {file}",
            "a file of that name exists, and a lost key cannot be had again",
            "name another file with --keystore, or move the old one away",
        ) from None
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        _sync_folder(file.parent)
    except OSError:
        file.unlink()  # half a keystore would only look like a key
        raise
    return str(account.address)


def generate_private_key() -> bytes:
    """Return a new key from the system's source of randomness."""
    from eth_account import Account

    return bytes(Account.create().key)


def parse_private_key(text: str) -> bytes:
    """Return the key that a line of 64 hex digits means, with or without ``0x``.

    Raises:
        KeysError: It is something else. The message does not repeat it.
    """
    text = text.strip()
    if not _HEX_KEY.fullmatch(text):
        raise KeysError(
            "cannot read the private key",
            f"a key has 64 hex digits, and {len(text.removeprefix('0x'))} characters were given",
            "give the key alone, with or without 0x",
        )
    key = bytes.fromhex(text.removeprefix("0x"))
    _account(key)
    return key


def read_password(file: Path) -> str:
    """Return the first line of a password file.

    Raises:
        KeysError: It cannot be read, others can read it, or it is empty.
    """
    try:
        with file.open() as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & _forbidden_mode(file):
                raise KeysError(
                    f"refused the password file {file}",
                    f"its mode is {mode:04o}: others than its owner can read or write it",
                    f"run `chmod 600 {file}`; if others could read it, change the password",
                )
            password = stream.read().splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise KeysError(
            f"cannot read the password file {file}",
            reason,
            "name a readable text file with --password-file",
        ) from None
    if not password or not password[0]:
        raise KeysError(
            f"refused the password file {file}",
            "its first line is empty",
            "write the password into its first line",
        )
    return password[0]


def _forbidden_mode(file: Path) -> int:
    """Mode bits that a password file must not have.

    systemd gives a service's user its credentials (``LoadCredential=``) by an access control list,
    whose mask shows where the group's bits are: 0440, although no group can read them.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    is_credential = folder is not None and file.parent == Path(folder)
    return 0o037 if is_credential else 0o077


def ask_new_password(password_file: Path | None) -> str:
    """Return the password for a new keystore: a file's, or one typed twice.

    Raises:
        KeysError: There is neither a file nor a terminal, or the two differ.
    """
    if password_file is not None:
        return read_password(password_file)
    password = _ask("new password: ")
    if password != _ask("the same again: "):
        raise KeysError(
            "refused the password", "the two inputs differ", "run it again and type it twice"
        )
    return password


def read_address(keystore: Path) -> str:
    """Return the address that a keystore claims, without opening it.

    Raises:
        KeysError: It is no keystore, or it does not name its address.
    """
    from eth_utils.address import is_address, to_checksum_address

    address = _read_document(keystore).get("address")
    if not isinstance(address, str) or not is_address(address):
        raise KeysError(
            f"cannot tell the address of {keystore}",
            f"its field `address` is {address!r}",
            "make a keystore that names it: `pinpoint wallet import`",
        )
    return str(to_checksum_address(address))


def list_keystores(folder: Path) -> dict[Path, str]:
    """Return the keystores in a folder with their addresses; other files are left out."""
    found = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.is_file():
            try:
                found[file] = read_address(file)
            except KeysError:
                continue
    return found


def _sync_folder(folder: Path) -> None:
    # The address may be given money at once: the file's name has to survive a loss of power, too.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_document(keystore: Path) -> dict[str, Any]:
    try:
        document = json.loads(keystore.read_text())
        version = document["version"]
        document["crypto"]["ciphertext"]
    except OSError as error:
        raise KeysError(
            f"cannot read the keystore {keystore}",
            str(error.strerror),
            "name one with --keystore, or make one with `pinpoint wallet new`",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise KeysError(
            f"cannot read the keystore {keystore}",
            "it is no keystore of version 3",
            "name one with --keystore; `pinpoint wallet import` makes one of a raw key",
        ) from None
    if version != 3:
        raise KeysError(
            f"cannot read the keystore {keystore}",
            f"its version is {version!r}, not 3",
            "name one of version 3 with --keystore",
        )
    return dict(document)


def _decrypt(document: dict[str, Any], password: str, keystore: Path) -> LocalAccount:
    from eth_account import Account

    try:
        key = bytes(Account.decrypt(document, password))
    except Exception as error:  # noqa: BLE001 - of any kind, for any malformed field
        wrong = "MAC mismatch" in str(error)
        raise KeysError(
            f"cannot open the keystore {keystore}",
            "the password is wrong" if wrong else "its fields are malformed",
            "check the password file" if wrong else "restore the keystore from a copy",
        ) from None
    account = _account(key)
    claimed = str(document.get("address", account.address)).lower().removeprefix("0x")
    if claimed != account.address.lower().removeprefix("0x"):
        raise KeysError(
            f"refused the keystore {keystore}",
            f"it says that its address is 0x{claimed}, but its key is that of {account.address}",
            "restore the keystore from a copy",
        )
    return account


def _account(private_key: bytes) -> LocalAccount:
    from eth_account import Account

    try:
        account: LocalAccount = Account.from_key(private_key)
    except Exception:  # noqa: BLE001 - of several libraries; their messages may quote the key
        raise KeysError(
            "cannot use the private key",
            "it is zero or not below the order of secp256k1",
            "make a key with `pinpoint wallet new`",
        ) from None
    return account


def _ask(prompt: str) -> str:
    """Ask on the terminal, without echo."""
    if not sys.stdin.isatty():
        raise KeysError(
            "no password",
            "there is no --password-file, and no terminal to ask at",
            "name a password file with --password-file or PINPOINT_PASSWORD_FILE",
        )
    return getpass.getpass(prompt)
