// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {console} from "hardhat/console.sol";

import {Test} from "../support/Test.sol";
import {Campaign} from "./Campaign.sol";

/// @title The invariants I1 to I12 under a campaign of random moves, which are counted
/// @notice CAMPAIGN_STEPS chooses its length, CAMPAIGN_SEED another one. A campaign in which some kind of move was
/// hardly ever accepted proves nothing about that kind, and fails.
contract CampaignTest is Test {
    uint256 private constant QUICK_STEPS = 8_000;

    Campaign private _campaign;

    function setUp() public {
        _campaign = new Campaign();
    }

    function test_campaign_ofRandomMoves_keepsEveryInvariant() public {
        uint256 steps = vm.envOr("CAMPAIGN_STEPS", QUICK_STEPS);
        uint256 seed = vm.envOr("CAMPAIGN_SEED", uint256(0));
        for (uint256 i = 0; i < steps; ++i) {
            _campaign.step(derive(seed, i));
        }
        _campaign.end();
        console.log("steps %s", _campaign.steps());
        console.log("dearest judgement %s gas", _campaign.dearestJudgement());
        _requireAccepted(steps / 4_000 + 1);
        _requireRefused(steps / 10_000);
    }

    function _requireAccepted(uint256 least) private view {
        string[72] memory moves = [
            // the market
            "post",
            "cancel",
            "commitBid",
            "revealBid",
            "reclaimBid",
            "assign",
            "void",
            "report",
            "submit",
            "expire",
            "reopen",
            "refund",
            "announceStore",
            // claims
            "draw",
            "attest",
            "finalise",
            "settle",
            "collectFee",
            // vault and register
            "deposit",
            "withdraw",
            "flushBurned",
            "donate",
            "stake",
            "requestUnbond",
            "completeUnbond",
            // openings and ends of disputes
            "commitOpen",
            "open",
            "reclaimUnopened",
            "reclaimOfFallen",
            "timeoutOfSolver",
            "timeoutOfOpener",
            "refundOfFallen",
            // new roots and pointers
            "postSegment",
            "postTrace",
            "postFold",
            "useRoot",
            "pointStep",
            "pointBinding",
            "pointElement",
            "pointNode",
            "pointBoundElement",
            "pointTerm",
            "pointKind",
            // bisection and openings of leaves
            "bisect",
            "bisectLog",
            "bisectSegment",
            "bisectTrace",
            "bisectPostState",
            "bisectTensor",
            "bisectFold",
            "reveal",
            "pick",
            "openTensor",
            "openChunk",
            "openTerm",
            // judgements
            "answerBinding",
            "judgeArithmetic",
            "judgeLoad",
            "judgeLoadOfData",
            "judgeLoadOfState",
            "judgeLoadOfNode",
            "judgeLoadOutOfBounds",
            // what the moves were about
            "honestClaim",
            "falseClaim",
            "lateClaim",
            "honestChallenge",
            "falseChallenge",
            "convictedByJudgement",
            "convictedByTimeout",
            "solverWon",
            "inTime",
            "retired"
        ];
        for (uint256 i = 0; i < moves.length; ++i) {
            console.log("accepted %s %s", moves[i], _campaign.accepted(moves[i]));
            vm.assertGe(_campaign.accepted(moves[i]), least, string.concat("hardly ever accepted: ", moves[i]));
        }
        vm.assertEq(_campaign.acceptedKindCount(), moves.length, "the list is not that of all moves");
    }

    function _requireRefused(uint256 least) private view {
        string[62] memory moves = [
            "AlreadyAttested",
            "AlreadyCommitted",
            "AlreadyDrawn",
            "AlreadyRevealed",
            "AlreadySettled",
            "BadRecipient",
            "BidsCommitted",
            "BindingOutOfRange",
            "ChunkOutsideRange",
            "ClaimNotDisputable",
            "ClaimNotFallen",
            "CommitmentExists",
            "CommitmentMismatch",
            "CommitmentTooYoung",
            "DeadlineNotReached",
            "DeadlinePassed",
            "DisputeOver",
            "DisputesOpen",
            "DrawTooEarly",
            "EmptyCommitment",
            "InsufficientCredit",
            "KindOutOfRange",
            "NoSuchBid",
            "NotClaims",
            "NotDispute",
            "NotDrawn",
            "NotMarket",
            "NotModule",
            "NotOpener",
            "NotRequester",
            "NotSignedBySolver",
            "NotSolver",
            "NothingToCollect",
            "NothingUnbonding",
            "OpeningOver",
            "ReopenTimeRuns",
            "ReportOutOfRange",
            "RevealNotOver",
            "RevealOver",
            "RootAlreadyStored",
            "RootMismatch of a binding",
            "RootMismatch of a result",
            "RootMismatch of a term",
            "RootNotStored",
            "StakeBelowMinimum",
            "StakeBound",
            "StalePosition",
            "StepOutOfRange",
            "StillUnbonding",
            "TermOutOfBounds",
            "TermOutOfRange",
            "UnbondAboveStake",
            "UnknownCommitment",
            "UnknownDispute",
            "UnknownTask",
            "WrongClaimPhase",
            "WrongDescriptor",
            "WrongPhase",
            "WrongReveals",
            "WrongState",
            "WrongSubroot",
            "ZeroAmount"
        ];
        for (uint256 i = 0; i < moves.length; ++i) {
            console.log("refused %s %s", moves[i], _campaign.refused(moves[i]));
            vm.assertGe(_campaign.refused(moves[i]), least, string.concat("hardly ever refused: ", moves[i]));
        }
        // The quick form may miss a few.
        vm.assertGe(_campaign.refusedKindCount(), least == 0 ? moves.length - 8 : moves.length, "kinds of refusals");
        vm.assertLe(_campaign.refusedKindCount(), moves.length, "the list is not that of all refusals");
    }
}

/// @dev The runner calls contracts of this file only.
contract Mover {
    Campaign private immutable _campaign;

    constructor(Campaign campaign) {
        _campaign = campaign;
    }

    function step(uint256 seed) external {
        _campaign.step(seed);
    }
}

/// @title The same moves as the runner orders them, which shortens a sequence that breaks an invariant
contract CampaignInvariants is Test {
    Campaign private _campaign;
    Mover private _mover;

    function setUp() public {
        _campaign = new Campaign();
        _mover = new Mover(_campaign);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_mover);
    }

    /// hardhat-config: invariant.failOnRevert = true
    function invariant_moneyOfEveryPot_isAccountedFor() external view {
        _campaign.checkMoney();
        _campaign.checkPots();
    }

    /// @dev The end of a sequence: all that was begun can be ended.
    function afterInvariant() external {
        _campaign.end();
        vm.assertEq(_campaign.accepted("retired"), _campaign.accepted("post"), "I6: every task ends");
    }
}
