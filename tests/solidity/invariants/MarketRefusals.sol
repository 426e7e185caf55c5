// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarket, TaskView, Terms} from "../../../contracts/interfaces/IMarket.sol";
import {IClaims} from "../../../contracts/interfaces/IClaims.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {ClaimView, IVerification, NewClaim} from "../../../contracts/interfaces/IVerification.sol";
import {ClaimPhase, TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {BidGhost, TaskGhost} from "./Ghosts.sol";
import {MoneyMoves} from "./MoneyMoves.sol";

/// @title Moves of the market, the claims, the vault and the register that must be refused, with the exact error
/// @dev What is to be refused follows from the views (I10).
abstract contract MarketRefusals is MoneyMoves {
    bytes32 private constant NOWHERE = "no such task";

    function _refuseInMarket() internal {
        if (active.length == 0) return;
        TaskGhost storage t = tasks[active[_random(active.length)]];
        TaskView memory v = market.taskView(t.id);
        uint256 what = _random(6);
        if (what == 0) _refusePhase(t, v);
        else if (what == 1) _refuseBid(t, v);
        else if (what == 2) _refuseRequester(t, v);
        else if (what == 3) _refuseSolver(t, v);
        else if (what == 4 && t.submitted) _refuseClaim(t);
        else _refuseMoney();
    }

    /// @dev One of the moves, in a phase that does not allow it.
    function _refusePhase(TaskGhost storage t, TaskView memory v) private {
        bytes32[] memory none = new bytes32[](0);
        bytes[7] memory moves = [
            abi.encodeCall(IMarket.commitBid, (t.id, bytes32(uint256(1)))),
            abi.encodeCall(IMarket.revealBid, (t.id, 0, 0)),
            abi.encodeCall(IMarket.assign, (t.id)),
            abi.encodeCall(IMarket.void, (t.id)),
            abi.encodeCall(IMarket.report, (t.id, 1, 0, none)),
            abi.encodeCall(IMarket.expire, (t.id)),
            abi.encodeCall(IMarket.reopen, (t.id))
        ];
        TaskPhase[7] memory phases = [
            TaskPhase.BIDDING,
            TaskPhase.REVEALING,
            TaskPhase.DECIDABLE,
            TaskPhase.DECIDABLE,
            TaskPhase.RUNNING,
            TaskPhase.OVERDUE,
            TaskPhase.VACANT
        ];
        uint256 i = _random(7);
        if (phases[i] == v.phase) return;
        bytes memory error_ = abi.encodeWithSelector(IMarket.WrongPhase.selector, t.id, phases[i], v.phase);
        _refuse("WrongPhase", _anyone(), address(market), moves[i], error_);
        error_ = abi.encodeWithSelector(IMarket.UnknownTask.selector, NOWHERE);
        _refuse("UnknownTask", _anyone(), address(market), abi.encodeCall(IMarket.expire, (NOWHERE)), error_);
    }

    function _refuseBid(TaskGhost storage t, TaskView memory v) private {
        if (v.phase == TaskPhase.BIDDING) {
            bytes memory move = abi.encodeCall(IMarket.commitBid, (t.id, bytes32(uint256(1))));
            bytes memory error_ =
                abi.encodeWithSelector(IVault.InsufficientCredit.selector, pauper, v.requiredStake + v.deposit, 0);
            _refuse("InsufficientCredit", pauper, address(market), move, error_);
            error_ = abi.encodeWithSelector(IMarket.EmptyCommitment.selector);
            move = abi.encodeCall(IMarket.commitBid, (t.id, 0));
            _refuse("EmptyCommitment", _anyone(), address(market), move, error_);
        }
        if (t.bids.length == 0) return;
        BidGhost storage b = bids[t.bids[_random(t.bids.length)]];
        if (b.round == t.round) _refuseBidOfRound(t, v, b);
        if (b.open) return;
        bytes memory gone = abi.encodeWithSelector(IMarket.NoSuchBid.selector, t.id, b.round, b.bidder);
        bytes memory again = abi.encodeCall(IMarket.reclaim, (t.id, b.round, b.bidder));
        _refuse("NoSuchBid", _anyone(), address(market), again, gone);
    }

    function _refuseBidOfRound(TaskGhost storage t, TaskView memory v, BidGhost storage b) private {
        bytes memory move;
        bytes memory error_;
        if (v.phase == TaskPhase.BIDDING) {
            move = abi.encodeCall(IMarket.commitBid, (t.id, bytes32(uint256(1))));
            error_ = abi.encodeWithSelector(IMarket.AlreadyCommitted.selector, t.id, t.round, b.bidder);
            _refuse("AlreadyCommitted", b.bidder, address(market), move, error_);
        } else if (v.phase == TaskPhase.REVEALING && b.revealed) {
            move = abi.encodeCall(IMarket.revealBid, (t.id, b.price, b.salt));
            error_ = abi.encodeWithSelector(IMarket.AlreadyRevealed.selector, t.id, t.round, b.bidder);
            _refuse("AlreadyRevealed", b.bidder, address(market), move, error_);
        } else if (v.phase == TaskPhase.REVEALING) {
            move = abi.encodeCall(IMarket.revealBid, (t.id, b.price + 1, b.salt));
            bytes32 right = market.bidCommitment(t.id, t.round, b.bidder, b.price, b.salt);
            bytes32 wrong = market.bidCommitment(t.id, t.round, b.bidder, b.price + 1, b.salt);
            error_ = abi.encodeWithSelector(IMarket.CommitmentMismatch.selector, right, wrong);
            _refuse("CommitmentMismatch", b.bidder, address(market), move, error_);
        } else if (b.open && b.bidder == v.solver && v.phase >= TaskPhase.RUNNING && v.phase <= TaskPhase.SUBMITTED) {
            // I9: what can be slashed stays.
            move = abi.encodeCall(IMarket.reclaim, (t.id, b.round, b.bidder));
            error_ = abi.encodeWithSelector(IMarket.StakeBound.selector, t.id, b.round, b.bidder);
            _refuse("StakeBound", b.bidder, address(market), move, error_);
        }
    }

    function _refuseRequester(TaskGhost storage t, TaskView memory v) private {
        bytes memory move = abi.encodeCall(IMarket.cancel, (t.id));
        bytes memory error_ = abi.encodeWithSelector(IMarket.NotRequester.selector, pauper, t.requester);
        _refuse("NotRequester", pauper, address(market), move, error_);
        bool bidding = v.phase == TaskPhase.BIDDING || v.phase == TaskPhase.REVEALING || v.phase == TaskPhase.DECIDABLE;
        if (bidding && v.commits != 0) {
            error_ = abi.encodeWithSelector(IMarket.BidsCommitted.selector, t.id, v.commits);
            _refuse("BidsCommitted", t.requester, address(market), move, error_);
        } else if (!bidding) {
            error_ = abi.encodeWithSelector(IMarket.WrongPhase.selector, t.id, TaskPhase.BIDDING, v.phase);
            _refuse("WrongPhase", t.requester, address(market), move, error_);
        }
        if (v.phase == TaskPhase.DECIDABLE) {
            bytes4 wrong = v.reveals == 0 ? IMarket.assign.selector : IMarket.void.selector;
            error_ = abi.encodeWithSelector(IMarket.WrongReveals.selector, t.id, v.reveals);
            _refuse("WrongReveals", _anyone(), address(market), abi.encodeWithSelector(wrong, t.id), error_);
        }
        Terms memory terms = _terms();
        terms.windowSeconds = marketConstants().maxWindowSeconds + 1;
        error_ = abi.encodeWithSelector(
            IMarket.TermOutOfBounds.selector, 17, 1, terms.windowSeconds - 1, terms.windowSeconds
        );
        _refuse("TermOutOfBounds", t.requester, address(market), abi.encodeCall(IMarket.post, (terms, "")), error_);
    }

    function _refuseSolver(TaskGhost storage t, TaskView memory v) private {
        if (v.phase != TaskPhase.RUNNING) return;
        bytes memory error_ = abi.encodeWithSelector(IMarket.NotSolver.selector, pauper, v.solver);
        _refuse("NotSolver", pauper, address(market), _submission(t, v, NOWHERE), error_);
        uint64 most = P.SEGMENTS + 1;
        error_ = abi.encodeWithSelector(IMarket.ReportOutOfRange.selector, v.reportedSize + 1, most, most + 1);
        bytes memory move = abi.encodeCall(IMarket.report, (t.id, most + 1, 0, new bytes32[](0)));
        _refuse("ReportOutOfRange", v.solver, address(market), move, error_);
    }

    function _refuseClaim(TaskGhost storage t) private {
        bytes32 id = claimGhosts[t.claim].id;
        ClaimView memory v = claims.claimView(id);
        bytes memory finalise = abi.encodeCall(IVerification.finalise, (id));
        bytes memory error_;
        if (v.phase != ClaimPhase.DECIDED) {
            error_ =
                abi.encodeWithSelector(IVerification.WrongClaimPhase.selector, id, ClaimPhase.DECIDED, v.phase);
            _refuse("WrongClaimPhase", _anyone(), address(claims), finalise, error_);
        } else if (v.openDisputes != 0) {
            error_ = abi.encodeWithSelector(IVerification.DisputesOpen.selector, id, v.openDisputes);
            _refuse("DisputesOpen", _anyone(), address(claims), finalise, error_);
        }
        bytes memory settle = abi.encodeCall(IVerification.settle, (id));
        if (v.phase != ClaimPhase.FALLEN) {
            error_ = abi.encodeWithSelector(IVerification.WrongClaimPhase.selector, id, ClaimPhase.FALLEN, v.phase);
            _refuse("WrongClaimPhase", _anyone(), address(claims), settle, error_);
        } else if (v.settled) {
            error_ = abi.encodeWithSelector(IVerification.AlreadySettled.selector, id);
            _refuse("AlreadySettled", _anyone(), address(claims), settle, error_);
        }
        if (v.phase == ClaimPhase.WINDOW) _refuseInWindow(id, v);
        else if (v.phase == ClaimPhase.FINALISED) _refuseFee(id, v);
    }

    function _refuseInWindow(bytes32 id, ClaimView memory v) private {
        bytes memory error_ = abi.encodeWithSelector(IVerification.NotDrawn.selector, id, pauper);
        _refuse("NotDrawn", pauper, address(claims), abi.encodeCall(IVerification.attest, (id)), error_);
        bytes memory draw = abi.encodeCall(IVerification.draw, (id));
        if (v.drawn) {
            error_ = abi.encodeWithSelector(IVerification.AlreadyDrawn.selector, id);
            _refuse("AlreadyDrawn", _anyone(), address(claims), draw, error_);
        }
        for (uint256 i = 0; i < v.verifiers.length; ++i) {
            if (!attested[keccak256(abi.encode(id, v.verifiers[i]))]) continue;
            error_ = abi.encodeWithSelector(IVerification.AlreadyAttested.selector, id, v.verifiers[i]);
            bytes memory attest = abi.encodeCall(IVerification.attest, (id));
            _refuse("AlreadyAttested", v.verifiers[i], address(claims), attest, error_);
        }
    }

    function _refuseFee(bytes32 id, ClaimView memory v) private {
        for (uint256 i = 0; i < v.verifiers.length; ++i) {
            bytes32 key = keccak256(abi.encode(id, v.verifiers[i]));
            if (attested[key] && !collected[key]) continue;
            bytes memory error_ =
                abi.encodeWithSelector(IVerification.NothingToCollect.selector, id, v.verifiers[i]);
            bytes memory move = abi.encodeCall(IVerification.collectFee, (id, v.verifiers[i]));
            _refuse("NothingToCollect", _anyone(), address(claims), move, error_);
        }
    }

    // --- money and privileges --------------------------------------------------------------------------------

    function _refuseMoney() private {
        address person = _anyone();
        uint256 credit = vault.credits(person);
        bytes memory error_ =
            abi.encodeWithSelector(IVault.InsufficientCredit.selector, person, credit + 1, credit);
        bytes memory move = abi.encodeCall(IVault.withdraw, (person, credit + 1));
        _refuse("InsufficientCredit", person, address(vault), move, error_);
        error_ = abi.encodeWithSelector(IVault.BadRecipient.selector, address(vault));
        move = abi.encodeCall(IVault.withdraw, (address(vault), 1));
        _refuse("BadRecipient", person, address(vault), move, error_);
        error_ = abi.encodeWithSelector(IVault.ZeroAmount.selector);
        _refuse("ZeroAmount", person, address(vault), abi.encodeCall(IVault.deposit, (0)), error_);
        _refusePrivileges(person);
        _refuseStake(_verifier());
    }

    /// @dev What only contracts of the deployment may do (P28).
    function _refusePrivileges(address person) private {
        bytes memory error_ = abi.encodeWithSelector(IVault.NotModule.selector, person);
        _refuse("NotModule", person, address(vault), abi.encodeCall(IVault.release, (0, person, 1)), error_);
        _refuse("NotModule", person, address(vault), abi.encodeCall(IVault.take, (people[0], 0, 1)), error_);
        _refuse("NotModule", person, address(vault), abi.encodeCall(IVault.burn, (0, 1)), error_);
        error_ = abi.encodeWithSelector(IMarket.NotClaims.selector, person, address(claims));
        bytes memory move = abi.encodeCall(IMarket.settleFallen, (tasks[0].id, person));
        _refuse("NotClaims", person, address(market), move, error_);
        NewClaim memory claim;
        error_ = abi.encodeWithSelector(IVerification.NotMarket.selector, person, address(market));
        _refuse("NotMarket", person, address(claims), abi.encodeCall(IVerification.openClaim, (0, claim)), error_);
        error_ = abi.encodeWithSelector(IClaims.NotDispute.selector, person, address(dispute));
        _refuse("NotDispute", person, address(claims), abi.encodeCall(IClaims.convict, (0, person)), error_);
        _refuse("NotDispute", person, address(claims), abi.encodeCall(IClaims.disputeClosed, (0)), error_);
    }

    function _refuseStake(address person) private {
        uint256 staked = registry.stakeOf(person);
        bytes memory error_ = abi.encodeWithSelector(IRegistry.UnbondAboveStake.selector, staked + 1, staked);
        bytes memory move = abi.encodeCall(IRegistry.requestUnbond, (staked + 1));
        _refuse("UnbondAboveStake", person, address(registry), move, error_);
        (uint256 unbonding,) = registry.unbondingOf(person);
        if (unbonding == 0) {
            error_ = abi.encodeWithSelector(IRegistry.NothingUnbonding.selector, person);
            move = abi.encodeCall(IRegistry.completeUnbond, ());
            _refuse("NothingUnbonding", person, address(registry), move, error_);
        }
        uint256 least = minimumVerifierStake();
        if (staked == 0) {
            error_ = abi.encodeWithSelector(IRegistry.StakeBelowMinimum.selector, least, least - 1);
            move = abi.encodeCall(IRegistry.stake, (least - 1));
        } else {
            error_ = abi.encodeWithSelector(IRegistry.StakeBelowMinimum.selector, least, 1);
            move = abi.encodeCall(IRegistry.requestUnbond, (staked - 1));
        }
        _refuse("StakeBelowMinimum", person, address(registry), move, error_);
    }
}
