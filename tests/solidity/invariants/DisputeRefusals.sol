// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerklePlain} from "../../../contracts/harness/MerklePlain.sol";
import {ClaimFacts} from "../../../contracts/interfaces/IClaims.sol";
import {IDispute, IEndgame} from "../../../contracts/interfaces/IDispute.sol";
import {Merkle} from "../../../contracts/libraries/Merkle.sol";
import {TestTree} from "../support/TestTree.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {ClaimGhost, Opening, Stage, TaskGhost} from "./Ghosts.sol";
import {MarketRefusals} from "./MarketRefusals.sol";

/// @title Moves of openings and disputes that must be refused, with the exact error
abstract contract DisputeRefusals is MarketRefusals {
    bytes32 private constant NOWHERE = "no such dispute";

    function _refuseInDispute() internal {
        if (ended.length != 0) _refuseEnded(openings[ended[_random(ended.length)]]);
        if (pending.length == 0) return;
        uint256 i = pending[_random(pending.length)];
        Opening storage o = openings[i];
        ClaimGhost storage c = claimGhosts[o.claim];
        if (o.stage == Stage.COMMITTED) _refuseOpening(o, c);
        else if (c.fallen) _refuseFallen(o, c);
        else _refuseLive(o, c);
    }

    // --- openings --------------------------------------------------------------------------------------------

    function _refuseOpening(Opening storage o, ClaimGhost storage c) private {
        ClaimFacts memory f = claims.claimFacts(c.id);
        bytes memory commit = abi.encodeCall(IDispute.commitOpen, (c.id, o.id));
        bytes memory error_ = abi.encodeWithSelector(CommitmentExists.selector, o.opener, o.id);
        _refuse("CommitmentExists", o.opener, address(dispute), commit, error_);
        bytes memory open = abi.encodeCall(IDispute.open, (c.id, o.segment, o.salt));
        // Another's commitment does not open (P14).
        bytes32 theirs = keccak256(abi.encode(c.id, pauper, o.segment, o.salt));
        error_ = abi.encodeWithSelector(UnknownCommitment.selector, pauper, theirs);
        _refuse("UnknownCommitment", pauper, address(dispute), open, error_);
        if (now_() == o.committedAt) {
            error_ = abi.encodeWithSelector(CommitmentTooYoung.selector, o.committedAt, now_());
            _refuse("CommitmentTooYoung", o.opener, address(dispute), open, error_);
        } else if (c.fallen) {
            error_ = abi.encodeWithSelector(ClaimNotDisputable.selector, c.id);
            _refuse("ClaimNotDisputable", o.opener, address(dispute), open, error_);
            return;
        } else if (now_() >= f.revealEnd && claims.isDisputable(c.id)) {
            error_ = abi.encodeWithSelector(RevealOver.selector, f.revealEnd, now_());
            _refuse("RevealOver", o.opener, address(dispute), open, error_);
        }
        if (now_() < f.revealEnd) {
            error_ = abi.encodeWithSelector(RevealNotOver.selector, f.revealEnd, now_());
            bytes memory reclaim = abi.encodeCall(IDispute.reclaim, (c.id, o.opener, o.id));
            _refuse("RevealNotOver", o.opener, address(dispute), reclaim, error_);
        }
        if (now_() >= f.windowEnd && claims.isDisputable(c.id)) {
            commit = abi.encodeCall(IDispute.commitOpen, (c.id, NOWHERE));
            error_ = abi.encodeWithSelector(OpeningOver.selector, f.windowEnd, now_());
            _refuse("OpeningOver", o.opener, address(dispute), commit, error_);
        }
    }

    // --- ended and fallen ------------------------------------------------------------------------------------

    function _refuseEnded(Opening storage o) private {
        Position memory p = dispute.position(o.id);
        bytes memory error_ = abi.encodeWithSelector(DisputeOver.selector, p.state);
        _refuse("DisputeOver", _anyone(), address(dispute), abi.encodeCall(IDispute.timeout, (o.id)), error_);
        _refuse("DisputeOver", _anyone(), address(dispute), abi.encodeCall(IDispute.refund, (o.id)), error_);
        bytes32 expected = keccak256(abi.encode(p));
        error_ = abi.encodeWithSelector(WrongState.selector, DisputeState.POINT_STEP, p.state);
        bytes memory move = abi.encodeCall(IDispute.pointStep, (o.id, expected, 0));
        _refuse("WrongState", o.opener, address(dispute), move, error_);
        error_ = abi.encodeWithSelector(UnknownDispute.selector, NOWHERE);
        _refuse("UnknownDispute", _anyone(), address(dispute), abi.encodeCall(IDispute.timeout, (NOWHERE)), error_);
    }

    /// @dev A claim that has fallen ends its disputes: no move is left but the refund.
    function _refuseFallen(Opening storage o, ClaimGhost storage c) private {
        bytes memory error_ = abi.encodeWithSelector(ClaimNotDisputable.selector, c.id);
        bytes memory commit = abi.encodeCall(IDispute.commitOpen, (c.id, NOWHERE));
        _refuse("ClaimNotDisputable", o.opener, address(dispute), commit, error_);
        if (_mayBeLate(o)) return;
        (address sender, bytes memory move) = _rightMove(o, c);
        _refuse("ClaimNotDisputable", sender, address(dispute), move, error_);
    }

    /// @dev The view tells no deadline once the claim has fallen. The turn began at the opening or later.
    function _mayBeLate(Opening storage o) private view returns (bool) {
        (uint32 solverLeft, uint32 openerLeft) = dispute.remaining(o.id);
        bool solver = _sideOf(dispute.position(o.id).state) == Side.SOLVER;
        return now_() >= o.openedAt + (solver ? solverLeft : openerLeft);
    }

    // --- live ------------------------------------------------------------------------------------------------

    function _refuseLive(Opening storage o, ClaimGhost storage c) private {
        Position memory p = dispute.position(o.id);
        (Side side, uint64 deadline) = dispute.clock(o.id);
        (address sender, bytes memory move) = _rightMove(o, c);
        if (now_() >= deadline) {
            bytes memory late = abi.encodeWithSelector(DeadlinePassed.selector, deadline, now_());
            _refuse("DeadlinePassed", sender, address(dispute), move, late);
            return;
        }
        bytes memory error_ = abi.encodeWithSelector(DeadlineNotReached.selector, deadline, now_());
        _refuse("DeadlineNotReached", _anyone(), address(dispute), abi.encodeCall(IDispute.timeout, (o.id)), error_);
        error_ = abi.encodeWithSelector(ClaimNotFallen.selector, c.id);
        _refuse("ClaimNotFallen", _anyone(), address(dispute), abi.encodeCall(IDispute.refund, (o.id)), error_);
        _refuseState(o, p);
        if (side == Side.OPENER) {
            error_ = abi.encodeWithSelector(NotOpener.selector, o.opener, pauper);
            _refuse("NotOpener", pauper, address(dispute), move, error_);
            _refusePointer(o, p);
        } else {
            _refuseAnswer(o, c, p, move);
        }
        // The same move about another position (P01): its second word is the expected hash.
        bytes32 actual = keccak256(abi.encode(p));
        assembly ("memory-safe") {
            mstore(add(move, 68), NOWHERE)
        }
        error_ = abi.encodeWithSelector(StalePosition.selector, actual, NOWHERE);
        _refuse("StalePosition", sender, address(dispute), move, error_);
    }

    function _refuseState(Opening storage o, Position memory p) private {
        if (p.state == DisputeState.NEED_TENSOR) return;
        bytes memory move = abi.encodeCall(IEndgame.openTensor, (o.id, 0, 0, new bytes32[](0)));
        bytes memory error_ = abi.encodeWithSelector(WrongState.selector, DisputeState.NEED_TENSOR, p.state);
        _refuse("WrongState", _anyone(), address(dispute), move, error_);
    }

    /// @dev Pointers out of their ranges.
    function _refusePointer(Opening storage o, Position memory p) private {
        bytes32 e = keccak256(abi.encode(p));
        (bytes memory move, bytes memory error_, string memory name) = ("", "", "");
        if (p.state == DisputeState.POINT_STEP) {
            (name, move) = ("StepOutOfRange", abi.encodeCall(IDispute.pointStep, (o.id, e, 3)));
            error_ = abi.encodeWithSelector(StepOutOfRange.selector, 3, 3);
        } else if (p.state == DisputeState.BRANCH) {
            (name, move) = ("BindingOutOfRange", abi.encodeCall(IDispute.pointBinding, (o.id, e, P.STATES)));
            error_ = abi.encodeWithSelector(BindingOutOfRange.selector, P.STATES, P.STATES);
        } else if (p.state == DisputeState.POINT_CHUNK) {
            (name, move) = ("ChunkOutsideRange", abi.encodeCall(IDispute.pointBoundElement, (o.id, e, 1024)));
            error_ = abi.encodeWithSelector(ChunkOutsideRange.selector, 4, 0, p.size);
        } else if (p.state == DisputeState.POINT_TERM) {
            uint64 terms = P.termsOf(p.node);
            (name, move) = ("TermOutOfRange", abi.encodeCall(IDispute.pointTerm, (o.id, e, terms, 0)));
            error_ = abi.encodeWithSelector(TermOutOfRange.selector, terms, terms);
        } else if (p.state == DisputeState.POINT_KIND) {
            uint8 loads = P.loadsOf(p.node);
            (name, move) = ("KindOutOfRange", abi.encodeCall(IDispute.pointKind, (o.id, e, loads)));
            error_ = abi.encodeWithSelector(KindOutOfRange.selector, loads, loads);
        } else {
            return;
        }
        _refuse(name, o.opener, address(dispute), move, error_);
    }

    /// @dev I8: what was not committed, or not by the solver, is refused.
    function _refuseAnswer(Opening storage o, ClaimGhost storage c, Position memory p, bytes memory move) private {
        bytes32 e = keccak256(abi.encode(p));
        bytes32 path = answers.pathOf(p);
        if (path != 0 && answers.isStored(p)) {
            (bytes32 stored,,) = dispute.roots(c.id, path);
            if (p.state == DisputeState.NEED_FOLD) return;
            bytes memory twice = abi.encodeWithSelector(RootAlreadyStored.selector, path, stored);
            _refuse("RootAlreadyStored", c.solver, address(dispute), _emptyPost(o.id, e, p.state), twice);
        } else if (path != 0) {
            bytes memory missing = abi.encodeWithSelector(RootNotStored.selector, path);
            _refuse("RootNotStored", c.solver, address(dispute), abi.encodeCall(IDispute.useRoot, (o.id, e)), missing);
            bytes memory unsigned = abi.encodeWithSelector(NotSignedBySolver.selector, c.solver, address(0));
            _refuse("NotSignedBySolver", pauper, address(dispute), move, unsigned);
        } else if (p.state == DisputeState.REVEAL) {
            bytes32[] memory children = answers.children(c.run, p);
            children[_random(children.length)] ^= bytes32(uint256(1));
            bytes memory bent = abi.encodeCall(IEndgame.reveal, (o.id, e, children));
            // The children are subtrees of one width: as leaves of a tree they have the same root.
            bytes memory error_ =
                abi.encodeWithSelector(WrongSubroot.selector, p.subroot, TestTree.root(children));
            _refuse("WrongSubroot", _anyone(), address(dispute), bent, error_);
        } else if (p.state == DisputeState.NEED_TERM) {
            bytes memory term = runs.foldLeaves(c.run, p.step, p.node, p.element)[p.term];
            term[0] ^= 0x01;
            bytes memory error_ =
                abi.encodeWithSelector(WrongSubroot.selector, p.subroot, MerklePlain.leafHash(term));
            bytes memory bent = abi.encodeCall(IEndgame.openTerm, (o.id, e, term));
            _refuse("WrongSubroot", _anyone(), address(dispute), bent, error_);
        } else if (p.state == DisputeState.JUDGE) {
            if (_chance(50)) _refuseDescriptor(o, p);
            else _refuseTerm(o, c, p);
        } else if (p.state == DisputeState.ANSWER_BINDING) {
            _refuseBinding(o, c, p);
        }
    }

    function _refuseDescriptor(Opening storage o, Position memory p) private {
        bytes memory error_ =
            abi.encodeWithSelector(WrongDescriptor.selector, keccak256(P.leaves()[p.node]), keccak256(""));
        _refuse("WrongDescriptor", _anyone(), address(dispute), _judgement(o, p, "", "", new bytes32[](0)), error_);
    }

    /// @dev A term that is not the fold's.
    function _refuseTerm(Opening storage o, ClaimGhost storage c, Position memory p) private {
        bytes[] memory fold = runs.foldLeaves(c.run, p.step, p.node, p.element);
        bytes32[] memory proof = TestTree.inclusion(runs.hashes(fold), p.term);
        bytes memory term = fold[p.term];
        term[_random(term.length)] ^= 0x80;
        bytes32 got = MerklePlain.rootFromInclusion(MerklePlain.leafHash(term), p.term, fold.length, proof);
        bytes memory error_ = abi.encodeWithSelector(Merkle.RootMismatch.selector, p.foldRoot, got);
        bytes memory bent = _judgement(o, p, P.leaves()[p.node], term, proof);
        _refuse("RootMismatch of a term", _anyone(), address(dispute), bent, error_);
    }

    function _judgement(Opening storage o, Position memory p, bytes memory node, bytes memory term, bytes32[] memory proof)
        private
        view
        returns (bytes memory)
    {
        bytes32 e = keccak256(abi.encode(p));
        bytes32[] memory none = new bytes32[](0);
        if (p.kind == P.ARITHMETIC) {
            return abi.encodeCall(IEndgame.judgeArithmetic, (o.id, e, node, term, proof, "", none));
        }
        return abi.encodeCall(IEndgame.judgeLoad, (o.id, e, node, term, proof, 0, none, "", none));
    }

    /// @dev A tensor that is not the state's after the step.
    function _refuseBinding(Opening storage o, ClaimGhost storage c, Position memory p) private {
        (bytes memory binding, bytes32[] memory programProof) = answers.descriptor(P.NODES + p.binding);
        bytes32[] memory post = TestTree.leaves(runs.stateLeaves(c.run, p.step + 1));
        bytes32[] memory proof = TestTree.inclusion(post, p.binding);
        bytes32 leaf = MerklePlain.leafHash(abi.encodePacked(NOWHERE));
        bytes32 got = MerklePlain.rootFromInclusion(leaf, p.binding, P.STATES, proof);
        bytes memory error_ = abi.encodeWithSelector(Merkle.RootMismatch.selector, TestTree.root(post), got);
        bytes32[] memory none = new bytes32[](0);
        bytes memory bent = abi.encodeCall(
            IEndgame.answerBinding,
            (o.id, keccak256(abi.encode(p)), binding, programProof, NOWHERE, proof, NOWHERE, none)
        );
        _refuse("RootMismatch of a binding", _anyone(), address(dispute), bent, error_);
    }

    /// @dev A new root where one is: refused before its proofs are looked at.
    function _emptyPost(bytes32 id, bytes32 e, DisputeState state) private pure returns (bytes memory) {
        bytes32[] memory none = new bytes32[](0);
        if (state == DisputeState.NEED_SEGMENT) {
            return abi.encodeCall(IDispute.postSegment, (id, e, NOWHERE, 0, 0, none, none, none, ""));
        }
        return abi.encodeCall(IDispute.postTrace, (id, e, NOWHERE, 0, 0, none, none, ""));
    }
}
