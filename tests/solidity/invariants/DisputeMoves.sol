// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimFacts} from "../../../contracts/interfaces/IClaims.sol";
import {IDispute, IEndgame} from "../../../contracts/interfaces/IDispute.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {ClaimGhost, Opening, Stage, TaskGhost} from "./Ghosts.sol";
import {MarketMoves} from "./MarketMoves.sol";
import {Plan} from "./Pointers.sol";

/// @title Openings and the moves of disputes that must be accepted
abstract contract DisputeMoves is MarketMoves {
    /// @dev I11, before a move.
    struct Others {
        bytes32 positions;
        bytes32 clocks;
    }

    uint256 private constant MOST_PENDING = 14;

    mapping(bytes4 selector => string) private _names;

    constructor() {
        _names[IDispute.postSegment.selector] = "postSegment";
        _names[IDispute.postTrace.selector] = "postTrace";
        _names[IDispute.postFold.selector] = "postFold";
        _names[IDispute.useRoot.selector] = "useRoot";
        _names[IDispute.pointStep.selector] = "pointStep";
        _names[IDispute.pointBinding.selector] = "pointBinding";
        _names[IDispute.pointElement.selector] = "pointElement";
        _names[IDispute.pointNode.selector] = "pointNode";
        _names[IDispute.pointBoundElement.selector] = "pointBoundElement";
        _names[IDispute.pointTerm.selector] = "pointTerm";
        _names[IDispute.pointKind.selector] = "pointKind";
        _names[IEndgame.bisect.selector] = "bisect";
        _names[IEndgame.reveal.selector] = "reveal";
        _names[IEndgame.pick.selector] = "pick";
        _names[IEndgame.openTensor.selector] = "openTensor";
        _names[IEndgame.openChunk.selector] = "openChunk";
        _names[IEndgame.openTerm.selector] = "openTerm";
        _names[IEndgame.answerBinding.selector] = "answerBinding";
        _names[IEndgame.judgeArithmetic.selector] = "judgeArithmetic";
        _names[IEndgame.judgeLoad.selector] = "judgeLoad";
    }

    // --- openings --------------------------------------------------------------------------------------------

    /// @dev Someone commits to a challenge: an honest one where the claim is false, a false one anywhere.
    function _commitOpening(TaskGhost storage t) internal {
        ClaimGhost storage c = claimGhosts[t.claim];
        ClaimFacts memory f = claims.claimFacts(c.id);
        if (windingDown || c.fallen || now_() >= f.windowEnd || pending.length >= MOST_PENDING) return;
        Opening storage o = openings.push();
        pending.push(openings.length - 1);
        ++t.openings;
        o.claim = t.claim;
        o.opener = _anyone();
        o.honest = c.isFalse && _chance(70);
        o.silent = !o.honest && _chance(15);
        o.plan = o.honest ? pointers.findFault(c.run) : _anyPlan();
        o.plan.style = uint8(_random(64));
        o.salt = keccak256(abi.encode(openings.length));
        o.segment = o.plan.style & pointers.BISECT_LOG() != 0 ? 0 : o.plan.segment;
        o.id = keccak256(abi.encode(c.id, o.opener, o.segment, o.salt));
        (o.bond, o.committedAt) = (f.bond, now_());
        _accept("commitOpen", o.opener, address(dispute), abi.encodeCall(IDispute.commitOpen, (c.id, o.id)));
        if (o.honest) c.challenged = true;
        _count(o.honest ? "honestChallenge" : "falseChallenge");
    }

    function _anyPlan() private returns (Plan memory plan) {
        plan.step = uint64(_random(P.STEPS));
        plan.segment = plan.step / P.INTERVAL + 1;
        plan.onBinding = _chance(25);
        plan.binding = uint32(_random(P.STATES));
        plan.node = uint32(_random(P.NODES));
        plan.element = _place(P.numelOf(plan.node));
        plan.term = _place(P.termsOf(plan.node));
        uint8 loads = P.loadsOf(plan.node);
        uint8 kind = uint8(_random(loads + 1));
        plan.kind = kind == loads ? P.ARITHMETIC : kind;
        // The only load out of bounds.
        if (_chance(10)) {
            (plan.onBinding, plan.node, plan.element, plan.term, plan.kind) = (false, 1, 0, 0, 1);
        }
    }

    function _open(uint256 i) internal {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        Others memory others = _others(i);
        bytes memory data = abi.encodeCall(IDispute.open, (c.id, o.segment, o.salt));
        _accept("open", o.opener, address(dispute), data);
        if (o.segment == 0) _count("bisectLog");
        (o.stage, o.openedAt) = (Stage.LIVE, now_());
        ++c.live;
        o.measure = measureOf(dispute.position(o.id));
        _checkOthers(i, others, false);
        checkDispute(i);
    }

    function _reclaimOpening(uint256 i) internal {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        bytes memory data = abi.encodeCall(IDispute.reclaim, (c.id, o.opener, o.id));
        uint256 before = vault.credits(o.opener);
        _accept(c.fallen ? "reclaimOfFallen" : "reclaimUnopened", _anyone(), address(dispute), data);
        uint256 burned = c.fallen ? 0 : o.bond * disputeParameters().unrevealedShare / WAD;
        vm.assertEq(vault.credits(o.opener) - before, o.bond - burned, "I3: an unopened bond");
        _end(i);
    }

    /// @dev Whatever is next for an opening.
    function _movePending(uint256 i) internal {
        Opening storage o = openings[i];
        if (o.stage == Stage.LIVE) {
            _moveLive(i);
            return;
        }
        ClaimGhost storage c = claimGhosts[o.claim];
        bool over = now_() >= claims.claimFacts(c.id).revealEnd;
        if (c.fallen || over) _reclaimOpening(i);
        else if (now_() > o.committedAt && (o.honest || uint256(o.salt) % 4 != 0)) _open(i);
    }

    // --- moves -----------------------------------------------------------------------------------------------

    function _moveLive(uint256 i) private {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        if (c.fallen) {
            _endLive(i, _chance(50) ? IDispute.refund.selector : IDispute.timeout.selector, "refundOfFallen");
            return;
        }
        (Side side, uint64 deadline) = dispute.clock(o.id);
        if (now_() >= deadline) {
            _refuseLate(i, deadline);
            _endLive(i, IDispute.timeout.selector, side == Side.SOLVER ? "timeoutOfSolver" : "timeoutOfOpener");
            return;
        }
        if (side == Side.SOLVER ? c.silent : o.silent && o.moves >= uint256(o.salt) % 12) return;
        _play(i, side);
    }

    /// @dev The right move of the side on the clock.
    function _play(uint256 i, Side side) internal {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        Position memory p = dispute.position(o.id);
        bytes memory data;
        address sender = o.opener;
        if (side == Side.SOLVER) {
            // What a solver signed or what is public anyone may send.
            sender = _chance(70) ? c.solver : _anyone();
            data = answers.answer(c.run, o.id, p, sender == c.solver ? 0 : keyOf[c.solver]);
        } else {
            data = pointers.point(c.run, o.id, p, o.plan);
        }
        string memory name = _names[bytes4(data)];
        bool judged = _isJudgement(bytes4(data));
        Others memory others = _others(i);
        (, uint256 gas_) = _accept(name, sender, address(dispute), data);
        if (judged) _checkGas(gas_, data);
        if (bytes4(data) == IEndgame.judgeLoad.selector) _countLoad(p);
        if (bytes4(data) == IEndgame.bisect.selector) _countLevel(dispute.position(o.id).level);
        ++o.moves;
        _afterMove(i, others, judged);
    }

    /// @dev Whoever let its time run out moves too late, also in the very second of the deadline (P18).
    function _refuseLate(uint256 i, uint64 deadline) private {
        Opening storage o = openings[i];
        (address sender, bytes memory move) = _rightMove(o, claimGhosts[o.claim]);
        bytes memory error_ = abi.encodeWithSelector(DeadlinePassed.selector, deadline, now_());
        _refuse("DeadlinePassed", sender, address(dispute), move, error_);
    }

    /// @dev What the side on the clock would rightly send; new roots without a signature.
    function _rightMove(Opening storage o, ClaimGhost storage c) internal view returns (address, bytes memory) {
        Position memory p = dispute.position(o.id);
        if (_sideOf(p.state) == Side.SOLVER) return (c.solver, answers.answer(c.run, o.id, p, 0));
        return (o.opener, pointers.point(c.run, o.id, p, o.plan));
    }

    function _countLevel(Level level) private {
        if (level == Level.SEGMENT) _count("bisectSegment");
        else if (level == Level.TRACE) _count("bisectTrace");
        else if (level == Level.POST_STATE) _count("bisectPostState");
        else if (level == Level.TENSOR) _count("bisectTensor");
        else _count("bisectFold");
    }

    function _countLoad(Position memory p) private {
        if (p.node == 1 && p.kind == 0) _count("judgeLoadOfData");
        else if (p.node == 1 && p.term == 0) _count("judgeLoadOutOfBounds");
        else if (p.node == 2 && p.kind != 0) _count("judgeLoadOfNode");
        else _count("judgeLoadOfState");
    }

    function _endLive(uint256 i, bytes4 selector, string memory name) private {
        Opening storage o = openings[i];
        Others memory others = _others(i);
        _accept(name, _anyone(), address(dispute), abi.encodeWithSelector(selector, o.id));
        _afterMove(i, others, false);
    }

    /// @dev I1, I2, I5, I11 after each move of a live dispute.
    function _afterMove(uint256 i, Others memory others, bool judged) private {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        Position memory p = dispute.position(o.id);
        uint256 measure = measureOf(p);
        require(measure < o.measure, "I5: a move did not shrink the dispute");
        o.measure = measure;
        if (p.state == DisputeState.CHALLENGER_WON) {
            require(!c.honest, "I1: an honest solver lost");
            require(c.isFalse || !judged, "I1: a true claim lost a judgement");
            _count(judged ? "convictedByJudgement" : "convictedByTimeout");
            require(!c.fallen, "I7: a claim fell twice");
            c.fallen = true;
        }
        _checkOthers(i, others, p.state == DisputeState.CHALLENGER_WON);
        if (p.state == DisputeState.SOLVER_WON) {
            require(!o.honest, "I2: an honest challenger lost");
            _count("solverWon");
        }
        if (p.state >= DisputeState.SOLVER_WON) _end(i);
        checkDispute(i);
    }

    function _others(uint256 i) private view returns (Others memory) {
        return Others(othersHash(i, false), othersHash(i, true));
    }

    /// @dev The fall takes the other disputes of the claim off the clock; their positions stay.
    function _checkOthers(uint256 i, Others memory before, bool fell) private view {
        require(othersHash(i, false) == before.positions, "I11: a move changed another dispute");
        require(fell || othersHash(i, true) == before.clocks, "I11: a move changed another dispute's clock");
    }

    function _end(uint256 i) private {
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        if (o.stage == Stage.LIVE) {
            --c.live;
            ended.push(i);
            o.finalHash = endHash(o.id);
        }
        o.stage = Stage.ENDED;
        --tasks[c.task].openings;
        _remove(pending, i);
        bytes32 pot = keccak256(abi.encode(o.opener, o.id));
        vm.assertEq(vault.pots(address(dispute), pot), 0, "I3: a bond's pot is empty at the end");
    }

    function _isJudgement(bytes4 selector) private pure returns (bool) {
        return selector == IEndgame.judgeArithmetic.selector || selector == IEndgame.judgeLoad.selector
            || selector == IEndgame.answerBinding.selector;
    }

    /// @dev I12, with what a transaction costs beside its execution (no byte counted as zero).
    function _checkGas(uint256 gas_, bytes memory data) private {
        gas_ += 21_000 + 16 * data.length;
        if (gas_ > dearestJudgement) dearestJudgement = gas_;
        vm.assertLt(gas_, JUDGEMENT_GAS_CAP, "I12: gas of a judgement");
    }
}
