// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerklePlain} from "../../../contracts/harness/MerklePlain.sol";
import {IMarket, TaskView, Terms} from "../../../contracts/interfaces/IMarket.sol";
import {ClaimView, IVerification} from "../../../contracts/interfaces/IVerification.sol";
import {Merkle} from "../../../contracts/libraries/Merkle.sol";
import {ClaimPhase, TaskPhase} from "../../../contracts/libraries/Phases.sol";
import {TestTree} from "../support/TestTree.sol";
import {Checks} from "./Checks.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {Lie, LieKind} from "./CounterRuns.sol";
import {BidGhost, ClaimGhost, TaskGhost} from "./Ghosts.sol";

/// @title Moves of a task's life that must be accepted; openings and disputes are in DisputeMoves
/// @dev Each `_move...` does nothing where there is nothing to do: the caller has looked at the phase only.
abstract contract MarketMoves is Checks {
    uint256 private constant MOST_ACTIVE = 6;
    uint256 private constant MOST_RUNS = 40;
    bytes32 private constant SALT = "salt";

    // --- requester -------------------------------------------------------------------------------------------

    function _post() internal {
        if (windingDown || active.length >= MOST_ACTIVE) return;
        address requester = _requester();
        Terms memory terms = _terms();
        (uint256 stake, uint256 deposit,, uint256 ceiling) = market.quote(terms);
        (bytes memory result,) =
            _accept("post", requester, address(market), abi.encodeCall(IMarket.post, (terms, "memory://task")));
        TaskGhost storage t = tasks.push();
        active.push(tasks.length - 1);
        t.id = abi.decode(result, (bytes32));
        t.requester = requester;
        t.fee = terms.verifierFee;
        t.escrow = terms.maxReward + uint256(terms.verifiers) * terms.verifierFee;
        TaskView memory v = market.taskView(t.id);
        vm.assertEq(v.requiredStake, stake, "I10: quoted stake");
        vm.assertEq(v.deposit, deposit, "I10: quoted deposit");
        vm.assertEq(ceiling, stake * marketConstants().challengerWad / WAD / 2, "I10: quoted ceiling");
    }

    function _terms() internal returns (Terms memory t) {
        t.programRoot = programRoot;
        t.dataRoot = dataRoot;
        t.initialStateRoot = runs.stateRoot(0, 0);
        t.manifestRoot = bytes32(uint256(1));
        (t.steps, t.interval) = (P.STEPS, P.INTERVAL);
        (t.nodeCount, t.stateCount, t.dataCount) = (P.NODES, P.STATES, P.DATA);
        t.maxReward = uint128(100 * TOKEN + _random(900 * TOKEN));
        t.valueAtRisk = uint128(_random(2_000 * TOKEN));
        t.verifiers = uint8(_random(4));
        if (t.verifiers != 0) {
            t.verifierFee = uint128(_random(20 * TOKEN));
            t.segmentsPerVerifier = uint32(1 + _random(P.SEGMENTS));
        }
        t.bidSeconds = uint64(50 + _random(100));
        t.revealSeconds = uint64(50 + _random(100));
        t.runSeconds = uint64(50 + _random(300));
        t.windowSeconds = uint64(200 + _random(600));
        t.segmentSeconds = uint64(1 + _random(60));
        t.traceSeconds = uint64(1 + _random(20));
    }

    // --- auction ---------------------------------------------------------------------------------------------

    function _moveInBidding(TaskGhost storage t, uint256 commits) internal {
        if (commits == 0 && (windingDown || _chance(6))) {
            _accept("cancel", t.requester, address(market), abi.encodeCall(IMarket.cancel, (t.id)));
            return;
        }
        address bidder = _bidder();
        if (windingDown || _bidOf(t, bidder) != type(uint256).max) return;
        TaskView memory v = market.taskView(t.id);
        BidGhost storage b = bids.push();
        t.bids.push(bids.length - 1);
        (b.task, b.round, b.bidder) = (_indexOf(t), t.round, bidder);
        (b.stake, b.deposit, b.open) = (v.requiredStake, v.deposit, true);
        b.price = _random(market.taskTerms(t.id).maxReward + 1);
        b.salt = keccak256(abi.encode(SALT, bids.length));
        b.honest = _chance(40);
        bytes32 commitment = market.bidCommitment(t.id, t.round, bidder, b.price, b.salt);
        _accept("commitBid", bidder, address(market), abi.encodeCall(IMarket.commitBid, (t.id, commitment)));
    }

    function _moveInRevealing(TaskGhost storage t) internal {
        uint256 i = _unrevealed(t);
        if (i != type(uint256).max) _reveal(t, bids[i]);
    }

    function _reveal(TaskGhost storage t, BidGhost storage b) internal {
        bytes memory data = abi.encodeCall(IMarket.revealBid, (t.id, b.price, b.salt));
        _accept("revealBid", b.bidder, address(market), data);
        b.revealed = true;
    }

    /// @dev A bid of this round that waits to be revealed; the largest number if there is none. Some never are.
    function _unrevealed(TaskGhost storage t) internal view returns (uint256) {
        for (uint256 i = 0; i < t.bids.length; ++i) {
            BidGhost storage b = bids[t.bids[i]];
            if (b.round == t.round && !b.revealed && (b.honest || uint256(b.salt) % 4 != 0)) return t.bids[i];
        }
        return type(uint256).max;
    }

    function _moveInDecidable(TaskGhost storage t, uint256 reveals) internal {
        if (reveals == 0) {
            _accept("void", _anyone(), address(market), abi.encodeCall(IMarket.void, (t.id)));
            return;
        }
        _accept("assign", _anyone(), address(market), abi.encodeCall(IMarket.assign, (t.id)));
        t.bid = _bidOf(t, market.taskView(t.id).solver);
        BidGhost storage b = bids[t.bid];
        vm.assertGe(market.taskView(t.id).price, b.price, "I10: the winner earns its price at least");
        (t.assigned, t.honest) = (true, b.honest);
        t.noShow = !b.honest && _chance(10);
        t.run = b.honest || _chance(10) ? 0 : _lyingRun();
    }

    /// @dev A new liar, or one that is known.
    function _lyingRun() private returns (uint256) {
        if (runs.count() >= MOST_RUNS) return 1 + _random(MOST_RUNS - 1);
        Lie memory lie;
        lie.kind = LieKind(1 + _random(3));
        lie.step = uint64(_random(P.STEPS));
        lie.node = uint32(_random(P.NODES));
        lie.binding = uint32(_random(P.STATES));
        uint64 numel = lie.kind == LieKind.BINDING ? P.stateNumel(lie.binding) : P.numelOf(lie.node);
        lie.element = _place(numel);
        lie.term = _place(P.termsOf(lie.node));
        lie.load = uint8(_random(P.loadsOf(lie.node)));
        return runs.execute(lie);
    }

    // --- solver ----------------------------------------------------------------------------------------------

    function _moveInRunning(TaskGhost storage t) internal {
        if (t.noShow) return;
        if (_chance(50)) _report(t);
        else _submit(t);
    }

    function _report(TaskGhost storage t) private {
        TaskView memory v = market.taskView(t.id);
        uint64 left = P.SEGMENTS + 1 - v.reportedSize;
        if (left == 0) return;
        uint64 size = v.reportedSize + 1 + uint64(_random(left));
        bytes32[] memory log = TestTree.leaves(runs.logLeaves(t.run));
        bytes32[] memory first = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            first[i] = log[i];
        }
        bytes32[] memory proof =
            v.reportedSize == 0 ? new bytes32[](0) : TestTree.consistency(first, v.reportedSize);
        bytes memory data = abi.encodeCall(IMarket.report, (t.id, size, TestTree.root(first), proof));
        _accept("report", v.solver, address(market), data);
    }

    function _submit(TaskGhost storage t) internal {
        TaskView memory v = market.taskView(t.id);
        _refuseResult(t, v);
        bytes memory data = _submission(t, v, runs.logLeaves(t.run)[P.SEGMENTS]);
        (bytes memory result,) = _accept("submit", v.solver, address(market), data);
        t.submitted = true;
        t.claim = claimGhosts.length;
        ClaimGhost storage c = claimGhosts.push();
        c.id = abi.decode(result, (bytes32));
        (c.task, c.run, c.solver) = (_indexOf(t), t.run, v.solver);
        (c.honest, c.silent) = (t.honest, !t.honest && _chance(20));
        c.isFalse = runs.isFalse(t.run);
        c.submittedAt = now_();
        _count(c.honest ? "honestClaim" : c.isFalse ? "falseClaim" : "lateClaim");
        bytes memory early = abi.encodeWithSelector(
            IVerification.DrawTooEarly.selector, claims.claimView(c.id).targetBlock, vm.getBlockNumber()
        );
        _refuse("DrawTooEarly", _anyone(), address(claims), abi.encodeCall(IVerification.draw, (c.id)), early);
        (,, uint256 bond,) = market.quote(market.taskTerms(t.id));
        // The quote follows the number of verifiers, the claim's bond the stake of its round.
        if (_quotedStake(t) == v.requiredStake) {
            vm.assertEq(claims.claimFacts(c.id).bond, bond, "I10: quoted bond");
        }
    }

    /// @dev A result that is not the log's last leaf.
    function _refuseResult(TaskGhost storage t, TaskView memory v) private {
        bytes32[] memory log = TestTree.leaves(runs.logLeaves(t.run));
        bytes32 leaf = MerklePlain.leafHash(abi.encodePacked(SALT));
        bytes32 got =
            MerklePlain.rootFromInclusion(leaf, P.SEGMENTS, log.length, TestTree.inclusion(log, P.SEGMENTS));
        bytes memory error_ = abi.encodeWithSelector(Merkle.RootMismatch.selector, TestTree.root(log), got);
        _refuse("RootMismatch of a result", v.solver, address(market), _submission(t, v, SALT), error_);
    }

    function _submission(TaskGhost storage t, TaskView memory v, bytes32 result)
        internal
        view
        returns (bytes memory)
    {
        bytes32[] memory log = TestTree.leaves(runs.logLeaves(t.run));
        return abi.encodeCall(
            IMarket.submit,
            (
                t.id,
                TestTree.root(log),
                result,
                v.reportedSize == 0 ? new bytes32[](0) : TestTree.consistency(log, v.reportedSize),
                TestTree.inclusion(log, 0),
                TestTree.inclusion(log, P.SEGMENTS)
            )
        );
    }

    function _quotedStake(TaskGhost storage t) private view returns (uint256 stake) {
        (stake,,,) = market.quote(market.taskTerms(t.id));
    }

    function _moveInOverdue(TaskGhost storage t) internal {
        require(!t.assigned || !t.honest, "I1: an honest solver did not show up");
        _accept("expire", _anyone(), address(market), abi.encodeCall(IMarket.expire, (t.id)));
        bids[t.bid].open = false;
    }

    // --- claim -----------------------------------------------------------------------------------------------

    /// @dev Anything but openings and disputes.
    function _moveInSubmitted(TaskGhost storage t) internal {
        ClaimGhost storage c = claimGhosts[t.claim];
        ClaimView memory v = claims.claimView(c.id);
        if (v.phase == ClaimPhase.FALLEN) _settle(t, c);
        else if (v.phase == ClaimPhase.DECIDED && v.openDisputes == 0) _finalise(t, c);
        else if (v.phase == ClaimPhase.WINDOW && !v.drawn) _draw(c, v);
        else if (v.phase == ClaimPhase.WINDOW) _attest(c, v);
    }

    function _draw(ClaimGhost storage c, ClaimView memory v) private {
        uint256 block_ = vm.getBlockNumber();
        uint256 target = block_ > v.targetBlock + 256 ? v.targetBlock + 257 : v.targetBlock;
        if (block_ <= target || block_ > target + 256) return;
        vm.setBlockhash(target, bytes32(_random(type(uint256).max)));
        _accept("draw", _anyone(), address(claims), abi.encodeCall(IVerification.draw, (c.id)));
        v = claims.claimView(c.id);
        for (uint256 i = 0; i < v.segments.length; ++i) {
            address drawn = v.verifiers[i * v.verifiers.length / v.segments.length];
            require(claims.isDrawn(c.id, v.segments[i], drawn), "I10: isDrawn");
        }
    }

    function _attest(ClaimGhost storage c, ClaimView memory v) private {
        if (v.verifiers.length == 0) return;
        address verifier = v.verifiers[_random(v.verifiers.length)];
        bytes32 key = keccak256(abi.encode(c.id, verifier));
        if (attested[key]) return;
        attested[key] = true;
        _accept("attest", verifier, address(claims), abi.encodeCall(IVerification.attest, (c.id)));
        ++c.uncollected;
    }

    mapping(bytes32 claimAndVerifier => bool) internal attested;
    mapping(bytes32 claimAndVerifier => bool) internal collected;

    function _finalise(TaskGhost storage t, ClaimGhost storage c) private {
        require(!(c.isFalse && c.challenged), "I2: a challenged false claim can become final");
        uint256 before = vault.credits(c.solver);
        bytes memory data = abi.encodeCall(IVerification.finalise, (c.id));
        _accept("finalise", _anyone(), address(claims), data);
        bytes memory again = abi.encodeWithSelector(
            IVerification.WrongClaimPhase.selector, c.id, ClaimPhase.DECIDED, ClaimPhase.FINALISED
        );
        _refuse("WrongClaimPhase", _anyone(), address(claims), data, again);
        uint256 earned = market.taskView(t.id).price + bids[t.bid].stake;
        vm.assertEq(vault.credits(c.solver) - before, earned, "I1: a solver gets its stake and its price");
        bids[t.bid].open = false;
    }

    function _settle(TaskGhost storage t, ClaimGhost storage c) private {
        bytes memory data = abi.encodeCall(IVerification.settle, (c.id));
        _accept("settle", _anyone(), address(claims), data);
        // I7: once.
        bytes memory again = abi.encodeWithSelector(IVerification.AlreadySettled.selector, c.id);
        _refuse("AlreadySettled", _anyone(), address(claims), data, again);
        bids[t.bid].open = false;
        c.uncollected = 0;
    }

    // --- ends ------------------------------------------------------------------------------------------------

    function _moveInVacant(TaskGhost storage t, bool lapsed) internal {
        if (!lapsed && !windingDown && _chance(70)) {
            _accept("reopen", t.requester, address(market), abi.encodeCall(IMarket.reopen, (t.id)));
            ++t.round;
            (t.assigned, t.submitted) = (false, false);
            return;
        }
        if (!lapsed) {
            bytes memory early = abi.encodeWithSelector(
                IMarket.ReopenTimeRuns.selector, t.id, market.taskView(t.id).reopenEnd, now_()
            );
            _refuse("ReopenTimeRuns", pauper, address(market), abi.encodeCall(IMarket.refund, (t.id)), early);
        }
        address sender = lapsed ? _anyone() : t.requester;
        _accept("refund", sender, address(market), abi.encodeCall(IMarket.refund, (t.id)));
    }

    /// @dev Whatever is still to fetch; once there is nothing, the task is retired.
    function _moveInEnded(uint256 i) internal {
        TaskGhost storage t = tasks[i];
        if (_collect(t) || _reclaimBid(t) || t.openings != 0) return;
        vm.assertEq(vault.pots(address(market), t.id), 0, "I3: an ended task leaves nothing");
        t.retired = true;
        _remove(active, i);
        _count("retired");
    }

    function _collect(TaskGhost storage t) private returns (bool) {
        // A fallen claim pays no fees.
        if (!t.submitted || claimGhosts[t.claim].fallen) return false;
        ClaimGhost storage c = claimGhosts[t.claim];
        ClaimView memory v = claims.claimView(c.id);
        for (uint256 i = 0; i < v.verifiers.length; ++i) {
            bytes32 key = keccak256(abi.encode(c.id, v.verifiers[i]));
            if (!attested[key] || collected[key]) continue;
            collected[key] = true;
            bytes memory data = abi.encodeCall(IVerification.collectFee, (c.id, v.verifiers[i]));
            _accept("collectFee", _anyone(), address(claims), data);
            bytes memory again =
                abi.encodeWithSelector(IVerification.NothingToCollect.selector, c.id, v.verifiers[i]);
            _refuse("NothingToCollect", _anyone(), address(claims), data, again);
            --c.uncollected;
            return true;
        }
        return false;
    }

    /// @dev A bid that is not bound: of an earlier round, of a loser, or never revealed.
    function _reclaimBid(TaskGhost storage t) internal returns (bool) {
        for (uint256 i = 0; i < t.bids.length; ++i) {
            BidGhost storage b = bids[t.bids[i]];
            if (!b.open) continue;
            TaskView memory v = market.taskView(t.id);
            bool early = v.phase == TaskPhase.BIDDING || v.phase == TaskPhase.REVEALING || v.phase == TaskPhase.DECIDABLE;
            if (b.round == t.round && (early || b.bidder == v.solver)) continue;
            bytes memory data = abi.encodeCall(IMarket.reclaim, (t.id, b.round, b.bidder));
            _accept("reclaimBid", _anyone(), address(market), data);
            b.open = false;
            return true;
        }
        return false;
    }

    // --- private ---------------------------------------------------------------------------------------------

    /// @dev The bid of this round; the largest number if there is none.
    function _bidOf(TaskGhost storage t, address bidder) internal view returns (uint256) {
        for (uint256 i = 0; i < t.bids.length; ++i) {
            BidGhost storage b = bids[t.bids[i]];
            if (b.round == t.round && b.bidder == bidder) return t.bids[i];
        }
        return type(uint256).max;
    }

    function _indexOf(TaskGhost storage t) private view returns (uint256) {
        for (uint256 i = 0; i < active.length; ++i) {
            if (tasks[active[i]].id == t.id) return active[i];
        }
        revert("an ended task moves");
    }
}
