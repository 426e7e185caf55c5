"""Is an agent's place in the world fit: chain, key, money, stores."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.cli.checks import Area, Finding, examine, fail, ok, warn
from protocol.cli.output import format_tokens
from protocol.cli.roles import Role

if TYPE_CHECKING:
    from protocol.agents.watch.reader import Reader
    from protocol.chain.deployfile import DeployFile
    from protocol.chain.deployment import Deployment
    from protocol.chain.rpc import RpcChain
    from protocol.cli.funds import Balances
    from protocol.storage import ContentStore

GWEI: Final = 10**9
PROBE: Final = b"pinpoint doctor"
"""A blob that is put into the own store, to be read again from where it is served."""
DEPOSIT: Final = "deposit: `pinpoint wallet deposit AMOUNT`"


@dataclass
class Standing:
    """Finds, one after the other; each check stands on what the ones before have found.

    Args:
        rpc: Endpoints.
        deployment_file: The deployments file.
        keystore: The key.
        password_file: Its password; None: it is not opened.
        role: What the agent will be, if that is known.
        max_fee_gwei: The most that it pays per gas.
    """

    rpc: Sequence[str]
    deployment_file: Path
    keystore: Path
    password_file: Path | None
    role: Role | None
    max_fee_gwei: float
    _file: DeployFile | None = None
    _chain: RpcChain | None = None
    _deployment: Deployment | None = None
    _account: str | None = None
    _reader: Reader | None = None

    def findings(self) -> Iterator[Finding]:
        """Chain, keys and money."""
        yield from examine(Area.CHAIN, "deployments file", self._load)
        for url in self.rpc:
            yield from examine(Area.CHAIN, "endpoint", partial(self._endpoint, url))
        yield from examine(Area.CHAIN, "contracts", self._connect)
        yield from examine(Area.CHAIN, "head", self._head)
        yield from examine(Area.KEYS, "keystore", self._open_key)
        yield from examine(Area.KEYS, "keystore's mode", self._mode)
        if self._deployment is None or self._account is None:
            return
        yield from examine(Area.MONEY, "gas", self._gas)
        if self.role in (None, Role.VERIFIER):
            yield from examine(Area.MONEY, "bonds", self._bonds)
            yield from examine(Area.MONEY, "verifier's stake", self._stake)
        if self.role in (None, Role.SOLVER):
            yield from examine(Area.MONEY, "stakes of bids", self._bids)

    # ------------------------------------------------------------------ chain

    def _load(self) -> Finding:
        from protocol.chain.deployfile import DeployFile

        self._file = DeployFile.load(self.deployment_file)
        return ok(
            Area.CHAIN,
            "deployments file",
            f"chain {self._file.chain_id}, preset {self._file.preset}",
        )

    def _endpoint(self, url: str) -> Finding:
        from protocol.chain.endpoints import Endpoints
        from protocol.chain.rpc import RpcChain
        from protocol.chain.urls import redact_url

        started = time.monotonic()
        chain = RpcChain(Endpoints([url]))
        got, seconds = chain.chain_id, time.monotonic() - started
        if self._file is not None and got != self._file.chain_id:
            return fail(
                Area.CHAIN,
                "endpoint",
                f"{redact_url(url)} is chain {got}, the deployments file is of chain "
                f"{self._file.chain_id}",
                "name the right endpoint with --rpc, or the right file with --deployment",
            )
        return ok(Area.CHAIN, "endpoint", f"{redact_url(url)} answered in {seconds:.2f} s")

    def _connect(self) -> Finding | None:
        from protocol.agents.watch.reader import Reader
        from protocol.chain.endpoints import Endpoints
        from protocol.chain.rpc import RpcChain

        if self._file is None:
            return None
        self._chain = RpcChain(Endpoints(self.rpc))
        self._deployment = self._file.connect(self._chain)
        self._reader = Reader(self._deployment, self._file.first_block, keeps_ended=False)
        return ok(Area.CHAIN, "contracts", "code, wiring and constants are those of this release")

    def _head(self) -> Finding | None:
        from protocol.chain.heads import MAX_AGE_S, MAX_AHEAD_S, HeadGuard

        if self._chain is None:
            return None
        devnet = self._is_devnet()
        head = HeadGuard(
            self._chain.endpoints,
            max_age_s=0 if devnet else MAX_AGE_S,
            max_ahead_s=0 if devnet else MAX_AHEAD_S,
        ).check()
        age = time.time() - head.time_s
        text = f"block {head.number} is {age:.0f} s old by this clock"
        if not -MAX_AHEAD_S <= age <= MAX_AGE_S:
            todo = "deadlines are by the chain's time; on a devnet that is as it shall be"
            return warn(Area.CHAIN, "head", text, todo)
        return ok(Area.CHAIN, "head", text)

    # ------------------------------------------------------------------ keys

    def _open_key(self) -> Finding:
        from protocol.chain.keys import (
            DEVELOPMENT_ACCOUNTS,
            DEVELOPMENT_CHAIN_ID,
            load_account,
            read_address,
        )

        chain_id = DEVELOPMENT_CHAIN_ID if self._file is None else self._file.chain_id
        if self.password_file is not None:
            self._account = str(load_account(self.keystore, self.password_file, chain_id).address)
            return ok(Area.KEYS, "keystore", f"{self._account} opens")
        self._account = read_address(self.keystore)
        if self._account in DEVELOPMENT_ACCOUNTS and not self._is_devnet():
            why = f"{self._account} is a well-known development key, on chain {chain_id}"
            return fail(Area.KEYS, "keystore", why, "make one: `pinpoint wallet new`")
        return warn(
            Area.KEYS,
            "keystore",
            f"{self._account} was not opened: no --password-file",
            "an agent that shall start by itself needs one",
        )

    def _mode(self) -> Finding | None:
        if not self.keystore.exists():
            return None
        mode = stat.S_IMODE(self.keystore.stat().st_mode)
        if mode & 0o077:
            why = f"{self.keystore} has mode {mode:04o}: others can read it, and guess passwords"
            return warn(Area.KEYS, "keystore's mode", why, f"chmod 600 {self.keystore}")
        return ok(Area.KEYS, "keystore's mode", f"{mode:04o}")

    # ------------------------------------------------------------------ money

    def _balances(self) -> Balances:
        from protocol.cli.funds import read_balances

        assert self._deployment is not None
        assert self._account is not None
        return read_balances(self._deployment, self._account)

    def _gas(self) -> Finding:
        """A dispute's moves must never wait for gas."""
        assert self._deployment is not None
        balances = self._balances()
        gas = self._deployment.preset.market.solver_gas
        now = int(self._deployment.chain.w3.eth.gas_price)
        cap = round(self.max_fee_gwei * GWEI)
        have = f"{format_tokens(balances.native_wei)} for gas"
        least, most = gas * min(now, cap), gas * cap
        if balances.native_wei < least:
            why = f"{have}; the longest dispute costs {format_tokens(least)} at today's price"
            return fail(Area.MONEY, "gas", why, f"send the chain's currency to {balances.account}")
        if balances.native_wei < most:
            why = f"{have}; at --max-fee-gwei the longest dispute would cost {format_tokens(most)}"
            return warn(Area.MONEY, "gas", why, f"send more to {balances.account}")
        return ok(
            Area.MONEY,
            "gas",
            f"{have}; the longest dispute costs {format_tokens(most)} at --max-fee-gwei",
        )

    def _bonds(self) -> Finding:
        """Whoever challenges locks a bond."""
        assert self._reader is not None
        reader, balances = self._reader, self._balances()
        claims = reader.book.open_claims
        bond = max((reader.facts(claim_id).bond for claim_id in claims), default=0)
        have = f"a vault credit of {format_tokens(balances.credit_wei)} tokens"
        if balances.credit_wei < bond or not balances.credit_wei:
            why = f"{have}; the largest bond of {len(claims)} open claims is {format_tokens(bond)}"
            grade = fail if self.role is Role.VERIFIER else warn
            return grade(Area.MONEY, "bonds", why, DEPOSIT)
        return ok(
            Area.MONEY,
            "bonds",
            f"{have} covers the bond of each open claim ({format_tokens(bond)} at most)",
        )

    def _bids(self) -> Finding:
        """Whoever bids locks a stake and a deposit."""
        assert self._reader is not None
        reader, balances = self._reader, self._balances()
        views = [reader.task(task_id) for task_id in reader.book.open_tasks]
        stake = max((view.required_stake + view.deposit for view in views), default=0)
        have = f"a vault credit of {format_tokens(balances.credit_wei)} tokens"
        if not balances.credit_wei:
            grade = fail if self.role is Role.SOLVER else warn
            return grade(Area.MONEY, "stakes of bids", f"{have}: no bid is possible", DEPOSIT)
        if balances.credit_wei < stake:
            why = f"{have}; the largest stake and deposit asked for now is {format_tokens(stake)}"
            return warn(Area.MONEY, "stakes of bids", why, DEPOSIT)
        return ok(Area.MONEY, "stakes of bids", f"{have} covers any of {len(views)} open tasks")

    def _stake(self) -> Finding:
        """Whoever is to be drawn has a stake."""
        assert self._deployment is not None
        balances = self._balances()
        least = self._deployment.preset.minimum_verifier_stake
        if balances.stake_wei == 0:
            return warn(
                Area.MONEY,
                "verifier's stake",
                f"none; the least is {format_tokens(least)}",
                "`pinpoint wallet stake AMOUNT`; without it a verifier is never drawn, and only "
                "--check-all gives it something to do",
            )
        return ok(Area.MONEY, "verifier's stake", f"{format_tokens(balances.stake_wei)} tokens")

    def _is_devnet(self) -> bool:
        from protocol.chain.keys import DEVELOPMENT_CHAIN_ID

        return self._file is not None and self._file.chain_id == DEVELOPMENT_CHAIN_ID

    # ------------------------------------------------------------------ stores

    def store_findings(
        self, own: str, read_stores: Sequence[str], *, running: bool
    ) -> Iterator[Finding]:
        """The own store, the others, and whether the own one is reached where it was announced.

        Args:
            own: Folder or URL of the own store.
            read_stores: What the operator reads from besides.
            running: Whether the agent runs, and so should serve its store.
        """
        yield from examine(Area.STORE, "own store", lambda: _own_store(own))
        for url in read_stores:
            yield from examine(Area.STORE, "read store", partial(_read_store, url))
        yield from examine(Area.STORE, "announced store", lambda: self._announced(running=running))

    def _announced(self, *, running: bool) -> Finding | None:
        from protocol.storage import ContentMissing

        if self._reader is None or self._account is None:
            return None
        url = self._reader.book.stores.get(self._account)
        if not url:
            todo = "--serve or --announce, unless the others reach the store in some other way"
            return warn(Area.STORE, "announced store", "this account announced none", todo)
        try:
            _open(url).get(_probe_name())
        except ContentMissing as error:
            why = f"{url}: {error}"
            if not running:
                todo = "it will be served when the agent runs; then run this again"
                return warn(Area.STORE, "announced store", why, todo)
            todo = "see that --announce names the own store, as others reach it"
            return fail(Area.STORE, "announced store", why, todo)
        return ok(Area.STORE, "announced store", f"{url} serves the own store, seen from here")


def _own_store(own: str) -> Finding:
    store = _open(own)
    store.open()
    store.put(PROBE)
    store.get(_probe_name())
    return ok(Area.STORE, "own store", f"{store.label} can be written and read")


def _read_store(url: str) -> Finding:
    """Reached, whether it has the probe or not."""
    from protocol.storage import ContentMissing, ContentUnreachable

    store = _open(url)
    try:
        store.get(_probe_name())
    except ContentUnreachable:
        raise
    except ContentMissing:
        pass
    return ok(Area.STORE, "read store", f"{store.label} answers")


def _open(url: str) -> ContentStore:
    from protocol.storage import ContentStore

    return ContentStore(url)


def _probe_name() -> bytes:
    from hashlib import sha256

    return sha256(PROBE).digest()
