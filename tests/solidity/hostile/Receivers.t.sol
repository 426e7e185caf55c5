// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarket, Terms} from "../../../contracts/interfaces/IMarket.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {ClaimPhase, TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {MarketWorld} from "../support/MarketWorld.sol";
import {Conduct, HostileAccount, HostileToken} from "./HostileToken.sol";

/// @title Parties whose code reverts, burns gas, bombs or re-enters
/// @notice Payments are credits that their owner pulls: no party's code runs in a move of anybody else. So a task with
/// hostile contracts in every part ends as one with people does, to the wei.
contract HostileReceiversTest is MarketWorld {
    HostileToken private _hostile;

    function setUp() public {
        setUpWorld();
        _hostile = new HostileToken(address(this), SUPPLY);
        deployMarketWithStandIn(address(_hostile));
        fundPeople();
    }

    // --- the life of a task -------------------------------------------------------------------------------------

    function test_finalisedTask_ofHostileParties_paysEverybody() public {
        uint256[3] memory plain = _gainsOfAFinalisedTask();
        for (uint256 manner = 0; manner < 4; ++manner) {
            uint256 snapshot = vm.snapshotState();
            _giveCode(manner);
            uint256[3] memory gains = _gainsOfAFinalisedTask();
            for (uint256 k = 0; k < 3; ++k) {
                vm.assertEq(gains[k], plain[k], "the same as of people");
            }
            vm.revertToState(snapshot);
        }
    }

    function test_fallenTask_ofHostileParties_isSettledAndRefunded() public {
        uint256[3] memory plain = _gainsOfAFallenTask();
        for (uint256 manner = 0; manner < 4; ++manner) {
            uint256 snapshot = vm.snapshotState();
            _giveCode(manner);
            uint256[3] memory gains = _gainsOfAFallenTask();
            for (uint256 k = 0; k < 3; ++k) {
                vm.assertEq(gains[k], plain[k], "the same as of people");
            }
            vm.revertToState(snapshot);
        }
    }

    function test_noShow_ofHostileParties_isExpiredAndRefunded() public {
        for (uint256 manner = 0; manner < 4; ++manner) {
            uint256 snapshot = vm.snapshotState();
            _giveCode(manner);
            bytes32 taskId = assigned(plainTerms());
            passTo(market.taskView(taskId).runEnd);
            vm.prank(stranger);
            market.expire(taskId);
            passTo(market.taskView(taskId).reopenEnd);
            vm.prank(stranger);
            market.refund(taskId);
            vm.assertEq(uint8(market.taskView(taskId).phase), uint8(TaskPhase.REFUNDED));
            vm.assertEq(vault.totalPots(), 0, "every pot is empty");
            assertSolvent();
            vm.revertToState(snapshot);
        }
    }

    /// @notice A requester that is a contract posts, a solver that is one bids and submits, by their own calls.
    function test_contracts_asParties_moveLikePeople() public {
        HostileAccount owner = _account(HostileAccount.Manner.REVERTS, "");
        fund(address(owner), WEALTH);
        people.push(address(owner));
        Terms memory terms = plainTerms();
        bytes32 taskId = abi.decode(owner.act(address(market), abi.encodeCall(IMarket.post, (terms, ""))), (bytes32));
        owner.act(address(market), abi.encodeCall(IMarket.cancel, (taskId)));
        vm.assertEq(vault.credits(address(owner)), WEALTH);
        owner.act(address(registry), abi.encodeCall(IRegistry.stake, (100 * TOKEN)));
        vm.assertEq(registry.stakeOf(address(owner)), 100 * TOKEN);
        owner.act(address(vault), abi.encodeCall(IVault.withdraw, (stranger, 5)));
        vm.assertEq(_hostile.balanceOf(stranger), 5);
        assertSolvent();
    }

    // --- withdrawals to receivers that are called -----------------------------------------------------------------

    /// @notice A token that calls its receivers: a receiver that fails stops its own withdrawal, with its own error.
    function test_withdraw_toAReceiverThatReverts_failsAloneAndKeepsTheCredit() public {
        _hostile.set(Conduct.CALLS_THE_RECEIVER);
        address receiver = address(_account(HostileAccount.Manner.REVERTS, ""));
        vm.prank(solver);
        vm.expectRevert(abi.encodeWithSelector(HostileAccount.NoThanks.selector));
        vault.withdraw(receiver, 5);
        _othersWithdraw();
    }

    function test_withdraw_toAReceiverThatBurnsGas_failsAloneAndKeepsTheCredit() public {
        _hostile.set(Conduct.CALLS_THE_RECEIVER);
        address receiver = address(_account(HostileAccount.Manner.BURNS_GAS, ""));
        vm.prank(solver);
        (bool ok,) = address(vault).call{gas: 1_000_000}(abi.encodeCall(IVault.withdraw, (receiver, 5)));
        vm.assertFalse(ok, "it went on");
        _othersWithdraw();
    }

    /// @notice A megabyte of return data costs who withdraws, and does not get into the vault.
    function test_withdraw_toAReceiverThatBombs_goesOn() public {
        _hostile.set(Conduct.CALLS_THE_RECEIVER);
        HostileAccount receiver = _account(HostileAccount.Manner.BOMBS, "");
        vm.prank(solver);
        vault.withdraw(address(receiver), 5);
        vm.assertEq(receiver.calls(), 1);
        vm.assertEq(_hostile.balanceOf(address(receiver)), 5);
        vm.assertEq(vault.credits(solver), WEALTH - 5);
        assertSolvent();
    }

    /// @notice A receiver that withdraws again within its withdrawal gets nothing twice.
    function test_withdraw_toAReceiverThatReenters_paysOnce() public {
        _hostile.set(Conduct.CALLS_THE_RECEIVER);
        bytes[3] memory again = [
            abi.encodeCall(IVault.withdraw, (stranger, 1)),
            abi.encodeCall(IVault.flushBurned, ()),
            abi.encodeCall(IVault.deposit, (1))
        ];
        for (uint256 i = 0; i < again.length; ++i) {
            HostileAccount receiver = _account(HostileAccount.Manner.REENTERS, again[i]);
            _hostile.set(Conduct.HONEST);
            fund(address(receiver), 100);
            people.push(address(receiver));
            _hostile.set(Conduct.CALLS_THE_RECEIVER);
            receiver.act(address(vault), abi.encodeCall(IVault.withdraw, (address(receiver), 40)));
            vm.assertEq(receiver.calls(), 1, "called");
            vm.assertFalse(receiver.reentered(), "refused");
            vm.assertEq(vault.credits(address(receiver)), 60, "paid once");
            vm.assertEq(_hostile.balanceOf(address(receiver)), 40);
            assertSolvent();
        }
    }

    /// @notice Verdicts, settlements and stakes do not wait for a token that refuses everything.
    function test_wholeLife_underATokenThatRefusesAll_goesOn() public {
        Conduct[3] memory conducts = [Conduct.REVERTS, Conduct.BURNS_GAS, Conduct.RETURNS_FALSE];
        for (uint256 i = 0; i < conducts.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            _hostile.set(conducts[i]);
            _gainsOfAFinalisedTask();
            _gainsOfAFallenTask();
            assertSolvent();
            vm.revertToState(snapshot);
        }
    }

    // --- helpers ------------------------------------------------------------------------------------------------

    function _gainsOfAFinalisedTask() private returns (uint256[3] memory gains) {
        uint256[3] memory before = _credits();
        (, bytes32 claimId) = submitted(plainTerms());
        passTo(claimFacts(claimId).revealEnd);
        vm.prank(stranger);
        claims.finalise(claimId);
        vm.assertEq(uint8(claimView(claimId).phase), uint8(ClaimPhase.FINALISED));
        return _ended(before);
    }

    function _gainsOfAFallenTask() private returns (uint256[3] memory gains) {
        uint256[3] memory before = _credits();
        (bytes32 taskId, bytes32 claimId) = submitted(plainTerms());
        standIn.open(claimId);
        standIn.convict(claimId, challenger);
        standIn.close(claimId);
        vm.prank(stranger);
        claims.settle(claimId);
        passTo(market.taskView(taskId).reopenEnd);
        vm.prank(stranger);
        market.refund(taskId);
        return _ended(before);
    }

    function _ended(uint256[3] memory before) private view returns (uint256[3] memory gains) {
        vm.assertEq(vault.totalPots(), 0, "every pot is empty");
        assertSolvent();
        uint256[3] memory later = _credits();
        for (uint256 k = 0; k < 3; ++k) {
            // Above what anybody may lose, so that losses are numbers too.
            gains[k] = WEALTH + later[k] - before[k];
        }
    }

    function _credits() private view returns (uint256[3] memory) {
        return [vault.credits(requester), vault.credits(solver), vault.credits(challenger)];
    }

    function _giveCode(uint256 manner) private {
        bytes memory again = abi.encodeCall(IVault.withdraw, (stranger, 1));
        bytes memory code = address(_account(HostileAccount.Manner(manner), again)).code;
        vm.etch(requester, code);
        vm.etch(solver, code);
        vm.etch(challenger, code);
    }

    function _account(HostileAccount.Manner manner, bytes memory call_) private returns (HostileAccount) {
        return new HostileAccount(manner, address(vault), call_);
    }

    function _othersWithdraw() private {
        vm.assertEq(vault.credits(solver), WEALTH, "the credit is kept");
        vm.prank(solver);
        vault.withdraw(solver, 5);
        vm.prank(rival);
        vault.withdraw(rival, 5);
        vm.assertEq(_hostile.balanceOf(solver) + _hostile.balanceOf(rival), 10);
        assertSolvent();
    }
}
