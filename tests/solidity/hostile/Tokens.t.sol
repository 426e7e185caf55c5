// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {MarketWorld} from "../support/MarketWorld.sol";
import {Conduct, HostileToken} from "./HostileToken.sol";

/// @title A token that turns against the vault: what each conduct does to deposits, withdrawals and the burn
/// @notice Stated for each: an exact error and nothing changed, or it goes on and tokens cover the books (I3).
contract HostileTokensTest is MarketWorld {
    uint256 private constant AMOUNT = 1_000;

    HostileToken private _hostile;

    function setUp() public {
        setUpWorld();
        _hostile = new HostileToken(address(this), SUPPLY);
        deployMarketWithStandIn(address(_hostile));
        fundPeople();
        require(_hostile.transfer(stranger, WEALTH), "transfer failed");
        vm.prank(stranger);
        _hostile.approve(address(vault), type(uint256).max);
        // Something burned, so that there is something to flush.
        bytes32 pot = bytes32("pot");
        standIn.take(rival, pot, 50);
        standIn.burn(pot, 50);
    }

    // --- deposits ---------------------------------------------------------------------------------------------

    function test_deposit_ofTokensThatRefuseOrCheat_isRefusedWithItsReason() public {
        _refusesDeposit(Conduct.RETURNS_FALSE, _failed());
        _refusesDeposit(Conduct.RETURNS_TWO, _failed());
        _refusesDeposit(Conduct.LIES, _wrongDeposit(0));
        _refusesDeposit(Conduct.TAKES_FEE, _wrongDeposit(AMOUNT - AMOUNT / 100));
        _refusesDeposit(Conduct.GIVES_MORE, _wrongDeposit(AMOUNT + 1));
        _refusesDeposit(Conduct.REVERTS, abi.encodeWithSelector(HostileToken.Refused.selector));
        _refusesDeposit(Conduct.REVERTS_SILENTLY, "");
        _refusesDeposit(Conduct.REVERTS_WITH_A_BOMB, new bytes(1_000_000));
        _refusesDeposit(Conduct.BURNS_GAS, "");
        _hostile.block_(stranger);
        _refusesDeposit(Conduct.BLOCKS_ONE, abi.encodeWithSelector(HostileToken.Blocked.selector, stranger));
    }

    function test_deposit_ofATokenThatReturnsNothing_goesOn() public {
        _hostile.set(Conduct.RETURNS_NOTHING);
        _deposit(AMOUNT);
        vm.assertEq(vault.credits(stranger), WEALTH + AMOUNT);
        assertSolvent();
    }

    function testFuzz_deposit_ofARebasedToken_isRefusedExactlyWhileBooksAreNotCovered(uint256 percent) public {
        percent = bound(percent, 0, 250);
        _hostile.rebase(percent);
        uint256 owed = vault.totalCredits() + vault.totalPots();
        uint256 shown = _hostile.balanceOf(address(vault));
        if (percent < 100) {
            _refusesDeposit(Conduct.HONEST, abi.encodeWithSelector(IVault.RebasedToken.selector, owed, shown));
        } else if (percent > 100) {
            // More than was named arrives as well, or the allowance is met by a part: never credited as named.
            uint256 after_ = (owed + AMOUNT) * percent / 100;
            _refusesDeposit(Conduct.HONEST, _wrongDeposit(after_ - shown));
        } else {
            _deposit(AMOUNT);
        }
        // Back at par the books are covered again: nothing was written off.
        _hostile.rebase(100);
        assertSolvent();
    }

    // --- withdrawals and the burn -------------------------------------------------------------------------------

    function test_withdrawAndFlush_ofTokensThatRefuse_revertAndKeepTheCredit() public {
        _refusesPayments(Conduct.RETURNS_FALSE, _failed());
        _refusesPayments(Conduct.RETURNS_TWO, _failed());
        _refusesPayments(Conduct.REVERTS, abi.encodeWithSelector(HostileToken.Refused.selector));
        _refusesPayments(Conduct.REVERTS_SILENTLY, "");
        _refusesPayments(Conduct.REVERTS_WITH_A_BOMB, new bytes(1_000_000));
        _refusesPayments(Conduct.BURNS_GAS, "");
    }

    /// @notice Whatever arrives elsewhere, the vault pays what it says and its books stay covered.
    function test_withdrawAndFlush_ofTokensThatCheatTheReceiver_goOn() public {
        Conduct[4] memory conducts = [Conduct.RETURNS_NOTHING, Conduct.TAKES_FEE, Conduct.GIVES_MORE, Conduct.LIES];
        for (uint256 i = 0; i < conducts.length; ++i) {
            _hostile.set(conducts[i]);
            uint256 credit = vault.credits(stranger);
            vm.prank(stranger);
            vault.withdraw(stranger, AMOUNT);
            vm.assertEq(vault.credits(stranger), credit - AMOUNT, "credit");
            assertSolvent();
        }
        vault.flushBurned();
        vm.assertEq(vault.credits(BURN_ADDRESS), 0);
        vm.assertEq(vault.totalBurned(), 50, "burned is burned");
        assertSolvent();
    }

    /// @notice One blocked account cannot take its credit to itself, but to another one; nobody else is touched.
    function test_withdraw_ofABlockedAccount_goesElsewhere() public {
        _hostile.block_(stranger);
        bytes memory refusal = abi.encodeWithSelector(HostileToken.Blocked.selector, stranger);
        vm.prank(stranger);
        vm.expectRevert(refusal);
        vault.withdraw(stranger, AMOUNT);
        vm.prank(stranger);
        vault.withdraw(makeAccount("elsewhere"), AMOUNT);
        vm.prank(rival);
        vault.withdraw(rival, AMOUNT);
        vm.assertEq(vault.credits(stranger), WEALTH - AMOUNT);
        assertSolvent();
    }

    function test_flush_withTheBurnAddressBlocked_failsAloneAndLater() public {
        _hostile.block_(BURN_ADDRESS);
        vm.expectRevert(abi.encodeWithSelector(HostileToken.Blocked.selector, BURN_ADDRESS));
        vault.flushBurned();
        bytes32 pot = bytes32("pot");
        standIn.take(rival, pot, 7);
        standIn.burn(pot, 7);
        vm.assertEq(vault.credits(BURN_ADDRESS), 57, "burning goes on");
        _hostile.set(Conduct.HONEST);
        vm.assertEq(vault.flushBurned(), 57);
        assertSolvent();
    }

    /// @notice A token that shrank pays the first ones in full; the vault owes the others and says so at a deposit.
    function test_withdraw_ofARebasedToken_paysWhileThereIsSomething() public {
        _hostile.rebase(50);
        vm.prank(rival);
        vault.withdraw(rival, AMOUNT);
        vm.assertEq(vault.credits(rival), WEALTH - 50 - AMOUNT);
        uint256 owed = vault.totalCredits() + vault.totalPots();
        uint256 shown = _hostile.balanceOf(address(vault));
        _refusesDeposit(Conduct.HONEST, abi.encodeWithSelector(IVault.RebasedToken.selector, owed, shown));
    }

    // --- re-entrance --------------------------------------------------------------------------------------------

    /// @notice Every function of the vault that calls the token is closed while another one runs.
    function test_reentrance_intoTheVault_isRefusedInEveryPair() public {
        bytes[4] memory inner = [
            abi.encodeCall(IVault.deposit, (1)),
            abi.encodeCall(IVault.withdraw, (address(_hostile), 1)),
            abi.encodeCall(IVault.flushBurned, ()),
            abi.encodeCall(IVault.depositWithPermit, (1, 0, 0, 0, 0))
        ];
        _giveTheTokenCredit();
        for (uint256 i = 0; i < 2 * inner.length; ++i) {
            Conduct when = i % 2 == 0 ? Conduct.CALLS_BACK : Conduct.CALLS_BACK_AFTER;
            for (uint256 outer = 0; outer < 3; ++outer) {
                if (vault.credits(BURN_ADDRESS) == 0) standIn.take(rival, bytes32("pot"), 5);
                if (vault.credits(BURN_ADDRESS) == 0) standIn.burn(bytes32("pot"), 5);
                _hostile.arm(when, vault, address(vault), inner[i / 2]);
                _outer(outer);
                vm.assertTrue(_hostile.calledBack(), "the token was called");
                vm.assertFalse(_hostile.callSucceeded(), "a second move within the first");
                vm.assertEq(
                    _hostile.callResult(),
                    abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
                );
                vm.assertTrue(_hostile.solventDuringCalls(), "covered even in the middle");
                assertSolvent();
            }
        }
    }

    /// @notice Moves of the modules are open while the vault calls the token; they shift credit, and all adds up.
    function test_reentrance_intoTheModules_movesOnlyTheTokensOwnCredit() public {
        _giveTheTokenCredit();
        bytes[2] memory inner =
            [abi.encodeCall(registry.stake, (100 * TOKEN)), abi.encodeCall(registry.requestUnbond, (100 * TOKEN))];
        for (uint256 outer = 0; outer < 3; ++outer) {
            for (uint256 i = 0; i < inner.length; ++i) {
                if (vault.credits(BURN_ADDRESS) == 0) standIn.take(rival, bytes32("pot"), 5);
                if (vault.credits(BURN_ADDRESS) == 0) standIn.burn(bytes32("pot"), 5);
                uint256 credit = vault.credits(stranger);
                _hostile.arm(Conduct.CALLS_BACK, vault, address(registry), inner[i]);
                _outer(outer);
                vm.assertTrue(_hostile.callSucceeded(), "the move of the token's own");
                vm.assertEq(registry.stakeOf(address(_hostile)), i == 0 ? 100 * TOKEN : 0, "its stake");
                vm.assertTrue(_hostile.solventDuringCalls(), "covered even in the middle");
                uint256 moved = outer == 0 ? credit + 3 : outer == 1 ? credit - 3 : credit;
                vm.assertEq(vault.credits(stranger), moved, "the outer move counts as if alone");
                assertSolvent();
            }
        }
    }

    function test_reentrance_asAModule_isRefused() public {
        _giveTheTokenCredit();
        _hostile.arm(
            Conduct.CALLS_BACK, vault, address(vault), abi.encodeCall(IVault.release, (bytes32("pot"), stranger, 1))
        );
        _deposit(3);
        vm.assertEq(
            _hostile.callResult(), abi.encodeWithSelector(IVault.NotModule.selector, address(_hostile)), "not a module"
        );
    }

    // --- permits ------------------------------------------------------------------------------------------------

    /// @notice Whatever `permit` does, an allowance that is there is enough. A permit that burns all its gas leaves a
    /// 64th, which is enough for the deposit.
    function test_depositWithPermit_ofAHostilePermit_goesByTheAllowance() public {
        Conduct[5] memory conducts = [
            Conduct.HONEST,
            Conduct.REVERTS,
            Conduct.REVERTS_SILENTLY,
            Conduct.REVERTS_WITH_A_BOMB,
            Conduct.BURNS_GAS
        ];
        for (uint256 i = 0; i < conducts.length; ++i) {
            _hostile.setPermit(conducts[i]);
            vm.prank(stranger);
            bytes memory move = abi.encodeCall(IVault.depositWithPermit, (3, 0, 0, 0, 0));
            (bool ok,) = address(vault).call{gas: 30_000_000}(move);
            vm.assertTrue(ok, "the allowance is there");
            vm.assertEq(vault.credits(stranger), WEALTH + 3 * (i + 1));
            assertSolvent();
        }
    }

    function test_depositWithPermit_withoutAnAllowance_takesNothing() public {
        vm.prank(stranger);
        _hostile.approve(address(vault), 2);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSignature("ERC20InsufficientAllowance(address,uint256,uint256)", address(vault), 2, 3)
        );
        vault.depositWithPermit(3, 0, 0, 0, 0);
        vm.assertEq(vault.credits(stranger), WEALTH);
    }

    function test_reentrance_fromPermit_isRefused() public {
        _giveTheTokenCredit();
        bytes memory reenter = abi.encodeCall(IVault.withdraw, (address(_hostile), 1));
        _hostile.arm(Conduct.HONEST, vault, address(vault), reenter);
        _hostile.setPermit(Conduct.CALLS_BACK);
        vm.prank(stranger);
        vault.depositWithPermit(3, 0, 0, 0, 0);
        vm.assertTrue(_hostile.calledBack(), "called back from permit");
        vm.assertFalse(_hostile.callSucceeded(), "refused there as well");
        vm.assertEq(vault.credits(stranger), WEALTH + 3);
        assertSolvent();
    }

    // --- any order ----------------------------------------------------------------------------------------------

    /// @notice Random moves under conduct that changes all the time: tokens always cover the books, and an account's
    /// credit is what it deposited less what it withdrew. (Rebasing takes tokens from the vault and is tried apart.)
    function testFuzz_anyConduct_anyMoves_booksStayCovered(uint256 seed) public {
        uint256 expected = vault.credits(stranger);
        _giveTheTokenCredit();
        for (uint256 i = 0; i < 12; ++i) {
            uint256 s = derive(seed, i);
            Conduct conduct = Conduct(s % (uint256(type(Conduct).max) + 1));
            uint256 amount = 1 + (s >> 8) % 1e6;
            if (conduct == Conduct.BURNS_GAS || conduct == Conduct.REVERTS_WITH_A_BOMB) conduct = Conduct.REVERTS;
            _hostile.arm(conduct, vault, address(vault), abi.encodeCall(IVault.withdraw, (address(_hostile), 1)));
            bool in_ = (s >> 64) % 2 == 0;
            vm.prank(stranger);
            (bool ok,) = address(vault).call(
                in_ ? abi.encodeCall(IVault.deposit, (amount)) : abi.encodeCall(IVault.withdraw, (stranger, amount))
            );
            if (ok) expected = in_ ? expected + amount : expected - amount;
            vm.assertEq(ok, _goesOn(conduct, in_), "goes on exactly under these conducts");
            vm.assertEq(vault.credits(stranger), expected, "credit");
            assertSolvent();
        }
    }

    // --- helpers --------------------------------------------------------------------------------------------------

    function _goesOn(Conduct c, bool in_) private pure returns (bool) {
        // The vault has no code for receiving: a token that insists on it cannot be deposited.
        if (c == Conduct.CALLS_THE_RECEIVER) return !in_;
        if (c == Conduct.HONEST || c == Conduct.RETURNS_NOTHING || c >= Conduct.BLOCKS_ONE) return true;
        return !in_ && (c == Conduct.LIES || c == Conduct.TAKES_FEE || c == Conduct.GIVES_MORE);
    }

    /// @dev The token itself has credit, so that a call of its own could succeed.
    function _giveTheTokenCredit() private {
        require(_hostile.transfer(address(_hostile), WEALTH), "transfer failed");
        _hostile.act(address(_hostile), abi.encodeCall(_hostile.approve, (address(vault), WEALTH)));
        _hostile.act(address(vault), abi.encodeCall(IVault.deposit, (WEALTH)));
        people.push(address(_hostile));
    }

    function _outer(uint256 which) private {
        if (which == 0) {
            _deposit(3);
        } else if (which == 1) {
            vm.prank(stranger);
            vault.withdraw(stranger, 3);
        } else {
            vault.flushBurned();
        }
    }

    function _deposit(uint256 amount) private {
        vm.prank(stranger);
        vault.deposit(amount);
    }

    function _refusesDeposit(Conduct conduct, bytes memory refusal) private {
        uint256 credit = vault.credits(stranger);
        _hostile.set(conduct);
        vm.prank(stranger);
        (bool ok, bytes memory got) = address(vault).call{gas: 100_000_000}(abi.encodeCall(IVault.deposit, (AMOUNT)));
        _checkRefusal(ok, got, refusal);
        vm.assertEq(vault.credits(stranger), credit, "nothing was credited");
    }

    function _refusesPayments(Conduct conduct, bytes memory refusal) private {
        _hostile.set(conduct);
        vm.prank(stranger);
        (bool ok, bytes memory got) =
            address(vault).call{gas: 100_000_000}(abi.encodeCall(IVault.withdraw, (stranger, AMOUNT)));
        _checkRefusal(ok, got, refusal);
        (ok, got) = address(vault).call{gas: 100_000_000}(abi.encodeCall(IVault.flushBurned, ()));
        _checkRefusal(ok, got, refusal);
        vm.assertEq(vault.credits(stranger), WEALTH, "the credit is kept");
        vm.assertEq(vault.credits(BURN_ADDRESS), 50, "so is the burn");
        assertSolvent();
    }

    function _checkRefusal(bool ok, bytes memory got, bytes memory expected) private pure {
        vm.assertFalse(ok, "it went on");
        vm.assertEq(keccak256(got), keccak256(expected), "another refusal");
    }

    function _wrongDeposit(uint256 arrived) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IVault.WrongDeposit.selector, AMOUNT, arrived);
    }

    function _failed() private view returns (bytes memory) {
        return abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(_hostile));
    }
}
