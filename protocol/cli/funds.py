"""An account's money in one deployment: what it has where, and the calls that move it.

All amounts are wei of the deployment's token, except `Balances.native_wei`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from protocol.cli.errors import ERRORS_PAGE, UserError
from protocol.cli.output import format_tokens

if TYPE_CHECKING:
    from web3.contract.contract import ContractFunction

    from protocol.chain.deployment import Deployment


@dataclass(frozen=True)
class Balances:
    """What an account has.

    Attributes:
        account: Its address.
        native_wei: The chain's own currency, which pays for gas.
        token_wei: Tokens outside the vault.
        allowance_wei: Tokens that the vault may take by a deposit.
        credit_wei: Vault credit: what bonds and stakes are taken from.
        stake_wei: A verifier's stake.
        unbonding_wei: Stake on its way back into the credit.
        unbonding_until: When that may be completed, in seconds since 1970; 0 if none unbonds.
    """

    account: str
    native_wei: int
    token_wei: int
    allowance_wei: int
    credit_wei: int
    stake_wei: int
    unbonding_wei: int
    unbonding_until: int

    def to_json(self) -> dict[str, Any]:
        """Return it as ``wallet balance --json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Done:
    """One call of a command: sent, or only simulated (then without hash and gas)."""

    function: str
    tx_hash: str | None
    gas_used: int | None


def read_balances(deployment: Deployment, account: str) -> Balances:
    """Return what an account has, all at the latest block."""
    chain = deployment.chain
    address = chain.w3.to_checksum_address(account)
    block = chain.w3.eth.block_number

    def ask(fn: ContractFunction) -> Any:
        return chain.call(fn, address, block=block)

    token, vault, registry = deployment.token, deployment.vault, deployment.registry
    unbonding, until = ask(registry.functions.unbondingOf(address))
    return Balances(
        account=str(address),
        native_wei=int(chain.w3.eth.get_balance(address, block)),
        token_wei=int(ask(token.functions.balanceOf(address))),
        allowance_wei=int(ask(token.functions.allowance(address, vault.address))),
        credit_wei=int(ask(vault.functions.credits(address))),
        stake_wei=int(ask(registry.functions.stakeOf(address))),
        unbonding_wei=int(unbonding),
        unbonding_until=int(until),
    )


def deposit_calls(deployment: Deployment, account: str, amount: int) -> list[ContractFunction]:
    """Return the calls that bring tokens into the vault; the allowance first, if it falls short.

    Raises:
        UserError: The account has fewer tokens. Found here, it costs no allowance.
    """
    vault, token, chain = deployment.vault, deployment.token, deployment.chain
    has = chain.call(token.functions.balanceOf(account), account)
    if has < amount:
        raise UserError(
            "the deposit is larger than what there is",
            f"{account} has {format_tokens(has, full=True)} tokens outside the vault, "
            f"{format_tokens(amount, full=True)} were to be deposited",
            "deposit less, or get more of the deployment's token",
            f"{ERRORS_PAGE}#reverted",
        )
    allowed = chain.call(token.functions.allowance(account, vault.address), account)
    calls = [] if allowed >= amount else [token.functions.approve(vault.address, amount)]
    return [*calls, vault.functions.deposit(amount)]


def perform(
    deployment: Deployment, account: str, calls: Sequence[ContractFunction], *, dry_run: bool
) -> list[Done]:
    """Send calls one after another, each simulated before.

    With ``dry_run`` nothing is sent, and only the first call is simulated: the later ones need what
    it would change.

    Raises:
        Reverted: A call would fail; those before it have been sent.
    """
    chain = deployment.chain
    done = []
    for number, call in enumerate(calls):
        if not dry_run or number == 0:
            chain.call(call, account)
        if dry_run:
            done.append(Done(call.fn_name, None, None))
            continue
        receipt = chain.send(call, account)
        tx_hash = f"0x{bytes(receipt['transactionHash']).hex()}"
        done.append(Done(call.fn_name, tx_hash, int(receipt["gasUsed"])))
    return done
