"""The vault: deposits of every kind of token, pots, and books that always balance."""

from __future__ import annotations

import pytest
from eth_account import Account

from protocol.chain.reverts import Reverted
from tests.contracts.market.world import BURN, TOKEN, WEALTH, ZERO, World

KEY = b"\x05" * 32
ZERO_SIGNATURE = (27, b"\0" * 32, b"\0" * 32)


def hostile_vault(world: World, name: str):
    """A vault over a hostile token, and an account that holds some and approved all."""
    holder = world.stranger
    token = world.chain.deploy(name, holder, 1_000 * TOKEN)
    vault = world.chain.deploy("Vault", token.address, *world.chain.accounts[:3])
    world.do(token.functions.approve(vault.address, 2**256 - 1), holder)
    return token, vault, holder


def sign_permit(world: World, key, amount: int, deadline: int):
    token = world.token
    signed = Account.sign_typed_data(
        key.key,
        domain_data={
            "name": "Pinpoint Development Token",
            "version": "1",
            "chainId": world.chain.w3.eth.chain_id,
            "verifyingContract": token.address,
        },
        message_types={
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        message_data={
            "owner": key.address,
            "spender": world.vault.address,
            "value": amount,
            "nonce": world.ask(token.functions.nonces(key.address)),
            "deadline": deadline,
        },
    )
    return signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)


# --- deposits and withdrawals -------------------------------------------------------------------


def test_deposit_and_withdraw_move_exactly_what_they_name(world: World):
    payer, payee = world.stranger, world.chain.accounts[19]
    receipt = world.do(world.vault.functions.withdraw(payee, 7), payer)
    assert world.event(world.vault, "Withdrawn", receipt)["recipient"] == payee
    assert world.ask(world.token.functions.balanceOf(payee)) == 7
    world.do(world.token.functions.approve(world.vault.address, 7), payee)
    world.do(world.vault.functions.deposit(7), payee)
    assert (world.credit(payer), world.credit(payee)) == (WEALTH - 7, 7)
    world.audit()


def test_withdraw_more_than_the_credit_is_refused(world: World):
    poor = world.chain.accounts[19]
    fn = world.vault.functions.withdraw(poor, 1)
    world.refuses(fn, poor, "InsufficientCredit", poor, 1, 0)


def test_withdraw_to_nowhere_or_to_the_vault_is_refused(world: World):
    for recipient in (ZERO, world.vault.address):
        fn = world.vault.functions.withdraw(recipient, 1)
        world.refuses(fn, world.stranger, "BadRecipient", recipient)


def test_zero_amounts_are_refused(world: World):
    world.refuses(world.vault.functions.deposit(0), None, "ZeroAmount")
    world.refuses(world.vault.functions.withdraw(world.stranger, 0), None, "ZeroAmount")
    world.refuses(world.vault.functions.flushBurned(), None, "ZeroAmount")


def test_deposit_without_allowance_is_refused(world: World):
    with pytest.raises(Reverted, match="ERC20InsufficientAllowance"):
        world.do(world.vault.functions.deposit(1), world.stranger)


def test_deposit_with_permit_needs_no_approval(world: World):
    key = world.chain.keys[0]
    deadline = world.chain.now() + 100
    permit = sign_permit(world, key, 9, deadline)
    world.do(world.vault.functions.depositWithPermit(9, deadline, *permit), key.address)
    assert world.credit(key.address) == 9


def test_deposit_with_permit_survives_a_front_runner(world: World):
    # P11: the permit is used by somebody else first.
    key, vault = world.chain.keys[0], world.vault.address
    deadline = world.chain.now() + 100
    permit = sign_permit(world, key, 9, deadline)
    used = world.token.functions.permit(key.address, vault, 9, deadline, *permit)
    world.do(used, world.challenger)
    world.do(world.vault.functions.depositWithPermit(9, deadline, *permit), key.address)
    assert world.credit(key.address) == 9


def test_deposit_with_a_wrong_permit_still_needs_an_allowance(world: World):
    fn = world.vault.functions.depositWithPermit(9, 2**255, *ZERO_SIGNATURE)
    with pytest.raises(Reverted, match="ERC20InsufficientAllowance"):
        world.do(fn, world.chain.accounts[0])


# --- hostile tokens (P11) -----------------------------------------------------------------------


def test_deposit_of_a_fee_token_is_refused_with_both_amounts(world: World):
    _, vault, holder = hostile_vault(world, "FeeToken")
    world.refuses(vault.functions.deposit(1_000), holder, "WrongDeposit", 1_000, 990)


def test_deposit_of_a_token_that_returns_false_is_refused(world: World):
    token, vault, holder = hostile_vault(world, "FalseToken")
    fn = vault.functions.deposit(5)
    world.refuses(fn, holder, "SafeERC20FailedOperation", token.address)
    assert world.ask(vault.functions.credits(holder)) == 0


def test_deposit_of_a_token_that_returns_nothing_works(world: World):
    token, vault, holder = hostile_vault(world, "SilentToken")
    world.do(vault.functions.deposit(5), holder)
    # It has no permit either: the call fails, the deposit does not.
    world.do(vault.functions.depositWithPermit(5, 2**255, *ZERO_SIGNATURE), holder)
    world.do(vault.functions.withdraw(world.challenger, 4), holder)
    assert world.ask(vault.functions.credits(holder)) == 6
    assert world.ask(token.functions.balanceOf(vault.address)) == 6


def test_deposit_of_a_token_that_shrank_is_refused_with_both_amounts(world: World):
    token, vault, holder = hostile_vault(world, "RebasingToken")
    world.do(vault.functions.deposit(100), holder)
    world.do(token.functions.rebase(50))
    world.refuses(vault.functions.deposit(100), holder, "RebasedToken", 100, 50)


@pytest.mark.parametrize("move", ["deposit", "withdraw", "flushBurned"])
def test_reentrant_token_cannot_call_back_into_the_vault(world: World, move):
    token, vault, holder = hostile_vault(world, "ReentrantToken")
    arguments = {"deposit": (50,), "withdraw": (holder, 50), "flushBurned": ()}[move]
    world.do(token.functions.arm(vault.address, b""))
    world.do(token.functions.depositOwn(60))
    call = vault.encode_abi(move, args=list(arguments))
    world.do(token.functions.arm(vault.address, bytes.fromhex(call[2:])))
    fn = vault.functions.deposit(50)
    world.refuses(fn, holder, "ReentrancyGuardReentrantCall")
    assert world.ask(vault.functions.totalCredits()) == 60


def test_reentrant_token_cannot_withdraw_twice(world: World):
    token, vault, holder = hostile_vault(world, "ReentrantToken")
    world.do(token.functions.arm(vault.address, b""))
    world.do(vault.functions.deposit(50), holder)
    world.do(token.functions.depositOwn(60))
    call = vault.encode_abi("withdraw", args=[holder, 60])
    world.do(token.functions.arm(vault.address, bytes.fromhex(call[2:])))
    fn = vault.functions.withdraw(holder, 50)
    world.refuses(fn, holder, "ReentrancyGuardReentrantCall")
    assert world.ask(token.functions.balanceOf(vault.address)) == 110


def test_paused_token_stops_no_move_of_a_module(world: World):
    # Only deposit, withdraw and flush touch the token: a verdict never waits for it.
    token, vault, holder = hostile_vault(world, "PausableToken")
    module = world.chain.accounts[0]
    world.do(vault.functions.deposit(10), holder)
    world.do(token.functions.pause(True))
    world.do(vault.functions.take(holder, KEY, 10), module)
    world.do(vault.functions.burn(KEY, 4), module)
    world.do(vault.functions.release(KEY, holder, 6), module)
    world.refuses(vault.functions.withdraw(holder, 6), holder, "Paused")
    world.refuses(vault.functions.flushBurned(), holder, "Paused")
    world.do(token.functions.pause(False))
    world.do(vault.functions.withdraw(holder, 6), holder)
    world.do(vault.functions.flushBurned(), holder)
    assert world.ask(token.functions.balanceOf(vault.address)) == 0


# --- modules ------------------------------------------------------------------------------------


def test_modules_are_registry_market_and_dispute_and_nobody_else(world: World):
    # P24, P28: no owner, no other role.
    is_module = world.vault.functions.isModule
    modules = [world.registry, world.market, world.dispute]
    assert all(world.ask(is_module(c.address)) for c in modules)
    others = [*world.chain.accounts, world.claims.address, world.vault.address, ZERO]
    assert not any(world.ask(is_module(account)) for account in others)
    names = {f["name"] for f in world.vault.abi if f["type"] == "function"}
    assert not {n for n in names if "owner" in n.lower() or "admin" in n.lower()}


@pytest.mark.parametrize(
    ("move", "arguments"),
    [("take", (BURN, KEY, 0)), ("release", (KEY, BURN, 0)), ("burn", (KEY, 0))],
)
def test_module_moves_of_a_stranger_are_refused(world: World, move, arguments):
    for caller in (world.stranger, world.chain.accounts[0]):
        fn = world.vault.functions[move](*arguments)
        world.refuses(fn, caller, "NotModule", caller)


def test_pots_of_one_module_are_out_of_reach_of_another(world: World):
    # A task's escrow lies in the market's pot: the dispute module cannot name it.
    task_id = world.post()
    market, dispute = world.market.address, world.dispute.address
    assert world.ask(world.vault.functions.pots(market, task_id)) == 1_000 * TOKEN
    missing = ("InsufficientPot", dispute, task_id, 1, 0)
    world.refuses(world.dispute.functions.release(task_id, world.stranger, 1), None, *missing)
    world.refuses(world.dispute.functions.burn(task_id, 1), None, *missing)


def test_module_takes_releases_and_burns_what_is_there_and_no_more(world: World):
    payer, payee, module = world.stranger, world.challenger, world.dispute
    world.do(module.functions.take(payer, KEY, 100))
    fn = module.functions.take(payer, KEY, WEALTH)
    world.refuses(fn, None, "InsufficientCredit", payer, WEALTH, WEALTH - 100)
    world.do(module.functions.release(KEY, payee, 30))
    world.do(module.functions.burn(KEY, 50))
    fn = module.functions.release(KEY, payee, 21)
    world.refuses(fn, None, "InsufficientPot", module.address, KEY, 21, 20)
    assert (world.gain(payer), world.gain(payee), world.burned()) == (-100, 30, 50)
    world.audit()


def test_flush_burned_sends_what_was_burned_and_keeps_the_count(world: World):
    world.do(world.dispute.functions.take(world.stranger, KEY, 100))
    world.do(world.dispute.functions.burn(KEY, 100))
    world.do(world.vault.functions.flushBurned())
    assert world.ask(world.token.functions.balanceOf(BURN)) == 100
    assert world.burned() == 100
    world.refuses(world.vault.functions.flushBurned(), None, "ZeroAmount")


def test_vault_has_nothing_but_its_liabilities_after_random_moves(world: World):
    # I3; accepted moves are counted, so that a run of refusals proves nothing.
    import random

    rng, accepted = random.Random(11), 0
    for _ in range(150):
        who, key = rng.choice(world.people), bytes([rng.randrange(3)]) * 32
        amount = rng.choice([1, WEALTH // 7, WEALTH])
        fn, sender = rng.choice(
            [
                (world.dispute.functions.take(who, key, amount), None),
                (world.dispute.functions.release(key, who, amount), None),
                (world.dispute.functions.burn(key, amount // 3 + 1), None),
                (world.vault.functions.withdraw(who, amount), who),
                (world.vault.functions.flushBurned(), None),
            ]
        )
        try:
            world.do(fn, sender)
            accepted += 1
        except Reverted:
            pass
        vault = world.vault.functions
        owed = world.ask(vault.totalCredits()) + world.ask(vault.totalPots())
        assert owed == world.ask(world.token.functions.balanceOf(world.vault.address))
    assert accepted > 50
