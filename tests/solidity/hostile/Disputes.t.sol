// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TaskView} from "../../../contracts/interfaces/IMarket.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {IDisputeTypes} from "../../../contracts/interfaces/IDispute.sol";
import {MarketWorld} from "../support/MarketWorld.sol";
import {TestTree} from "../support/TestTree.sol";
import {Conduct, HostileAccount, HostileToken} from "./HostileToken.sol";

/// @title Disputes between parties with hostile code, under a token that refuses everything
/// @notice Bonds, verdicts and splits are book entries of the vault: neither token nor party is called. Each end pays
/// to the wei what docs/PROTOCOL.md, section 10 says.
contract HostileDisputesTest is MarketWorld, IDisputeTypes {
    HostileToken private _hostile;
    bytes32 private _task;
    bytes32 private _claim;
    uint256 private _bond;

    function setUp() public {
        setUpWorld();
        _hostile = new HostileToken(address(this), SUPPLY);
        deployMarket(address(_hostile));
        fundPeople();
    }

    function test_solverTimedOut_paysTheOpenerAndRefundsTheOthers() public {
        for (uint256 manner = 0; manner < 4; ++manner) {
            uint256 snapshot = vm.snapshotState();
            _begin(manner);
            bytes32 first = _open(challenger, 1);
            bytes32 second = _open(rival, 2);
            bytes32 unopened = _commit(verifier, 3);
            (, uint64 deadline) = dispute.clock(first);
            passTo(deadline);
            _conviction(first);
            dispute.refund(second);
            dispute.reclaim(_claim, verifier, unopened);
            vm.assertEq(vault.credits(rival), WEALTH, "another opener has its bond back");
            vm.assertEq(vault.credits(verifier), WEALTH, "so has who never opened");
            _end();
            vm.revertToState(snapshot);
        }
    }

    function test_openerTimedOut_paysItsCoverToTheSolver() public {
        for (uint256 manner = 0; manner < 4; ++manner) {
            uint256 snapshot = vm.snapshotState();
            _begin(manner);
            // The solver answers out of a log of which every leaf is a child.
            bytes32 id = _open(challenger, 0);
            bytes32[] memory leaves = _leaves();
            bytes32 expected = dispute.positionHash(id);
            vm.prank(solver);
            dispute.reveal(id, expected, leaves);
            (Side side, uint64 deadline) = dispute.clock(id);
            vm.assertEq(uint8(side), uint8(Side.OPENER));
            passTo(deadline);
            uint256 credit = vault.credits(solver);
            uint256 burned = vault.totalBurned();
            dispute.timeout(id);
            vm.assertEq(vault.credits(solver) - credit, _bond / 2, "the cover");
            vm.assertEq(vault.totalBurned() - burned, _bond - _bond / 2, "the rest burns");
            passTo(claimFacts(_claim).revealEnd);
            claims.finalise(_claim);
            vm.assertEq(vault.credits(challenger), WEALTH - _bond);
            _checkBooks();
            vm.revertToState(snapshot);
        }
    }

    function test_unopenedCommitment_paysBackWhatDoesNotBurn() public {
        _begin(0);
        bytes32 commitment = _commit(challenger, 1);
        passTo(claimFacts(_claim).revealEnd);
        dispute.reclaim(_claim, challenger, commitment);
        vm.assertEq(vault.credits(challenger), WEALTH - _bond / 10);
        claims.finalise(_claim);
        _checkBooks();
    }

    // --- helpers ------------------------------------------------------------------------------------------------

    /// @dev A submitted claim; from here on the token refuses all, and the parties' code fights back.
    function _begin(uint256 manner) private {
        (_task, _claim) = submitted(plainTerms());
        _bond = claimFacts(_claim).bond;
        _hostile.set(manner % 2 == 0 ? Conduct.BURNS_GAS : Conduct.REVERTS_WITH_A_BOMB);
        bytes memory again = abi.encodeCall(IVault.withdraw, (stranger, 1));
        bytes memory code =
            address(new HostileAccount(HostileAccount.Manner(manner), address(vault), again)).code;
        vm.etch(requester, code);
        vm.etch(solver, code);
        vm.etch(challenger, code);
        vm.etch(rival, code);
    }

    function _conviction(bytes32 id) private {
        TaskView memory t = market.taskView(_task);
        uint256 stake = t.requiredStake;
        uint256 before = vault.credits(requester);
        dispute.timeout(id);
        claims.settle(_claim);
        vm.assertEq(vault.credits(challenger), WEALTH + stake / 4, "the bond and the share of the stake");
        uint256 share = stake / 4 < t.price ? stake / 4 : t.price;
        vm.assertEq(vault.credits(requester) - before, share, "the requester's share");
        vm.assertEq(vault.totalBurned(), stake - stake / 4 - share, "the rest burned");
        vm.assertEq(vault.credits(solver), WEALTH - stake);
    }

    function _end() private {
        vm.prank(requester);
        market.refund(_task);
        _checkBooks();
    }

    function _checkBooks() private view {
        vm.assertEq(vault.totalPots(), 0, "every pot is empty");
        assertSolvent();
    }

    function _commit(address opener, uint64 segment) private returns (bytes32 id) {
        id = keccak256(abi.encode(_claim, opener, segment, SALT));
        vm.prank(opener);
        dispute.commitOpen(_claim, id);
    }

    function _open(address opener, uint64 segment) private returns (bytes32 id) {
        id = _commit(opener, segment);
        passTo(vm.getBlockTimestamp() + 1);
        vm.prank(opener);
        dispute.open(_claim, segment, SALT);
    }

    function _leaves() private pure returns (bytes32[] memory) {
        return TestTree.leaves(logOf(plainTerms()));
    }
}
