// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IClaims} from "../../../contracts/interfaces/IClaims.sol";
import {IDispute, IDisputeTypes} from "../../../contracts/interfaces/IDispute.sol";
import {Terms} from "../../../contracts/interfaces/IMarket.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVerification} from "../../../contracts/interfaces/IVerification.sol";
import {ClaimPhase} from "../../../contracts/libraries/Phases.sol";
import {Deadlines, Move} from "./Deadlines.sol";

/// @title The deadlines of a claim: its window, its reveals, its draw, the weights that count
contract ClaimDeadlinesTest is Deadlines {
    struct Moves {
        bytes open;
        bytes reclaim;
        bytes finalise;
    }

    bytes32 private constant OPEN_SALT = bytes32("salt");

    bytes32 private _claim;
    bytes32 private _commitment; // the challenger's opening of segment 1

    function setUp() public {
        setUpWorld();
        deployMarket(deployToken());
        fundPeople();
        vm.prank(verifier);
        registry.stake(100 * TOKEN);
        passTo(START_TIME + 10);
        (, _claim) = submitted(_terms());
    }

    function _terms() private pure returns (Terms memory terms) {
        terms = plainTerms();
        (terms.verifiers, terms.segmentsPerVerifier, terms.verifierFee) = (1, 2, uint128(TOKEN));
    }

    // --- windowEnd: draw, attest, commit an opening -----------------------------------------------------------------

    function test_windowEnd_endsDrawsAttestationsAndCommitments() public {
        uint256 windowEnd = claimFacts(_claim).windowEnd;
        // The draw needs its block within reach: blocks stand still while the time goes on.
        vm.roll(claimView(_claim).targetBlock + 1);
        vm.warp(windowEnd - 1);
        atEach(windowEnd, _checkDraw);
        claims.draw(_claim);
        atEach(windowEnd, _checkWindowEnd);
        vm.assertEq(accepted + refused, 3 + 9);
    }

    function _checkDraw(uint256 deadline) private {
        vm.roll(claimView(_claim).targetBlock + 1);
        onlyBefore(
            deadline, toClaims(stranger, abi.encodeCall(IVerification.draw, (_claim))), _wrongPhase(ClaimPhase.WINDOW)
        );
    }

    function _checkWindowEnd(uint256 deadline) private {
        bytes memory late = _wrongPhase(ClaimPhase.WINDOW);
        onlyBefore(deadline, toClaims(verifier, abi.encodeCall(IVerification.attest, (_claim))), late);
        onlyBefore(
            deadline,
            toDispute(stranger, abi.encodeCall(IDispute.commitOpen, (_claim, bytes32("another")))),
            abi.encodeWithSelector(IDisputeTypes.OpeningOver.selector, deadline, vm.getBlockTimestamp())
        );
        // Nothing is decided yet on either side.
        refuses("finalise", toClaims(stranger, abi.encodeCall(IVerification.finalise, (_claim))), _undecided());
    }

    // --- revealEnd: open a committed dispute | finalise, reclaim the commitment --------------------------------------

    function test_revealEnd_dividesOpeningsFromTheEndOfTheClaim() public {
        _commit();
        atEach(claimFacts(_claim).revealEnd, _checkRevealEnd);
        vm.assertEq(accepted + refused, 9);
    }

    function _checkRevealEnd(uint256 deadline) private {
        bytes memory tooLate = abi.encodeWithSelector(IDisputeTypes.RevealOver.selector, deadline, now_());
        Moves memory m;
        m.open = abi.encodeCall(IDispute.open, (_claim, 1, OPEN_SALT));
        m.reclaim = abi.encodeCall(IDispute.reclaim, (_claim, challenger, _commitment));
        m.finalise = abi.encodeCall(IVerification.finalise, (_claim));
        either(deadline, toDispute(challenger, m.open), tooLate, toClaims(stranger, m.finalise), _undecided());
        if (isBefore(deadline)) {
            refuses(
                "reclaim",
                toDispute(stranger, m.reclaim),
                abi.encodeWithSelector(IDisputeTypes.RevealNotOver.selector, deadline, vm.getBlockTimestamp())
            );
        } else {
            accepts("reclaim", toDispute(stranger, m.reclaim));
        }
    }

    /// @notice The claims contract itself keeps the deadline, whatever the dispute contract does.
    function test_revealEnd_ofTheClaimsContract_refusesToCountLaterDisputes() public {
        atEach(claimFacts(_claim).revealEnd, _checkCount);
        vm.assertEq(accepted + refused, 3);
    }

    function _checkCount(uint256 deadline) private {
        onlyBefore(
            deadline,
            toClaims(address(dispute), abi.encodeCall(IClaims.disputeOpened, (_claim))),
            abi.encodeWithSelector(IClaims.RevealsClosed.selector, _claim, deadline, vm.getBlockTimestamp())
        );
    }

    // --- the age of a commitment ------------------------------------------------------------------------------------

    /// @notice In the second of its commitment an opening is too young; in the next it is not.
    function test_commitment_ofTheSameSecond_isTooYoung() public {
        _commit();
        uint64 committedAt = now_();
        Moves memory m;
        m.open = abi.encodeCall(IDispute.open, (_claim, 1, OPEN_SALT));
        bytes4 selector = IDisputeTypes.CommitmentTooYoung.selector;
        bytes memory young = abi.encodeWithSelector(selector, committedAt, committedAt);
        refuses("open", toDispute(challenger, m.open), young);
        // A later block of the same second does not count as later.
        vm.roll(vm.getBlockNumber() + 1);
        refuses("open", toDispute(challenger, m.open), young);
        for (uint256 later = 1; later < 3; ++later) {
            vm.warp(committedAt + later);
            accepts("open", toDispute(challenger, m.open));
        }
    }

    // --- the draw's blocks ------------------------------------------------------------------------------------------

    /// @notice Each edge: target, its 256 blocks, the second target 257 later, its 256 blocks, the end.
    function test_drawTarget_atEveryEdge_isTooEarlyInTimeOrExpired() public {
        uint256 target = claimView(_claim).targetBlock;
        // Setting up took a block for each of 10 + 100 + 100 seconds.
        vm.assertEq(target, START_BLOCK + 210 + marketConstants().drawDelayBlocks);
        uint256 second = target + 257;
        _drawAt(target - 1, abi.encodeWithSelector(IVerification.DrawTooEarly.selector, target, target - 1));
        _drawAt(target, abi.encodeWithSelector(IVerification.DrawTooEarly.selector, target, target));
        _drawAt(target + 1, "");
        _drawAt(target + 255, "");
        _drawAt(target + 256, "");
        _drawAt(second, abi.encodeWithSelector(IVerification.DrawTooEarly.selector, second, second));
        _drawAt(second + 1, "");
        _drawAt(second + 255, "");
        _drawAt(second + 256, "");
        _drawAt(second + 257, abi.encodeWithSelector(IVerification.DrawExpired.selector, second + 256, second + 257));
        _drawAt(second + 258, abi.encodeWithSelector(IVerification.DrawExpired.selector, second + 256, second + 258));
    }

    function _drawAt(uint256 number, bytes memory refusal) private {
        vm.roll(number);
        Move memory move = toClaims(stranger, abi.encodeCall(IVerification.draw, (_claim)));
        if (refusal.length == 0) accepts("draw", move);
        else refuses("draw", move, refusal);
    }

    // --- the weights that count -------------------------------------------------------------------------------------

    /// @notice A stake of the second before the submission is drawn, one of its own second is not.
    function test_stake_ofTheSubmissionsSecond_isNotDrawn() public {
        for (uint256 before = 0; before < 2; ++before) {
            uint256 snapshot = vm.snapshotState();
            bytes32 taskId = assigned(_terms());
            uint256 submission = vm.getBlockTimestamp() + 50;
            passTo(submission - before);
            vm.startPrank(verifier);
            registry.requestUnbond(100 * TOKEN);
            vm.stopPrank();
            vm.prank(stranger);
            registry.stake(100 * TOKEN);
            passTo(submission);
            bytes32 claimId = submit(taskId);
            vm.roll(claimView(claimId).targetBlock + 1);
            claims.draw(claimId);
            address[] memory drawn = claimView(claimId).verifiers;
            vm.assertEq(drawn.length, 1);
            vm.assertEq(drawn[0], before == 1 ? stranger : verifier, "the weights of the second before");
            vm.revertToState(snapshot);
        }
    }

    function test_weights_ofTheCurrentSecond_cannotBeAskedFor() public {
        uint48 time = uint48(vm.getBlockTimestamp());
        vm.assertEq(registry.totalWeightAt(time - 1), 100 * TOKEN);
        for (uint48 later = 0; later < 2; ++later) {
            bytes memory refusal =
                abi.encodeWithSelector(IRegistry.FutureTimepoint.selector, time + later, time);
            vm.expectRevert(refusal);
            registry.totalWeightAt(time + later);
            vm.expectRevert(refusal);
            registry.find(0, time + later);
        }
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    function _commit() private {
        _commitment = keccak256(abi.encode(_claim, challenger, uint64(1), OPEN_SALT));
        vm.prank(challenger);
        dispute.commitOpen(_claim, _commitment);
    }

    function _wrongPhase(ClaimPhase expected) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IVerification.WrongClaimPhase.selector, _claim, expected, claimView(_claim).phase
        );
    }

    function _undecided() private view returns (bytes memory) {
        return _wrongPhase(ClaimPhase.DECIDED);
    }
}
