// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDispute, IDisputeTypes} from "../../../contracts/interfaces/IDispute.sol";
import {IMarket, Terms} from "../../../contracts/interfaces/IMarket.sol";
import {Answers} from "../invariants/Answers.sol";
import {CounterProgram as P} from "../invariants/CounterProgram.sol";
import {CounterRuns} from "../invariants/CounterRuns.sol";
import {Plan, Pointers} from "../invariants/Pointers.sol";
import {TestTree} from "../support/TestTree.sol";
import {Deadlines, Move} from "./Deadlines.sol";

/// @title The clocks of a dispute in every state, and the deadline that a beneficiary depends on
contract DisputeDeadlinesTest is Deadlines, IDisputeTypes {
    bytes32 private constant OPEN_SALT = bytes32("salt");
    uint256 private constant LIVE_STATES = 17;

    CounterRuns private _runs;
    Answers private _answers;
    Pointers private _pointers;
    bytes32 private _claim;
    bytes32 private _dispute;
    address private _opener;
    Plan private _plan;
    bytes32 private _drawnDispute;
    mapping(DisputeState => uint256) private _met;

    function setUp() public {
        setUpWorld();
        deployMarket(deployToken());
        fundPeople();
        _runs = new CounterRuns();
        _answers = new Answers(_runs, dispute);
        _pointers = new Pointers(_runs, _answers);
        vm.prank(verifier);
        registry.stake(100 * TOKEN);
        passTo(START_TIME + 10);
        bytes32 taskId = assigned(_terms());
        _claim = _submit(taskId);
        vm.roll(claimView(_claim).targetBlock + 1);
        claims.draw(_claim);
        passTo(vm.getBlockTimestamp() + 5);
    }

    /// @dev The opener has more time than the solver: the drawn verifier's clock can outlive the solver's.
    function disputeParameters() internal pure override returns (Parameters memory p) {
        p.solverSeconds = 300;
        p.openerSeconds = 900;
        p.graceSeconds = 30;
        p.coverShare = uint64(WAD / 2);
        p.unrevealedShare = uint64(WAD / 10);
    }

    // --- clocks of both sides ---------------------------------------------------------------------------------------

    /// @notice In each of the 17 live states: at t-1 the right move is accepted and the timeout refused, from t on the
    /// other way round; and the timeout convicts the side that was on the clock.
    function test_clock_inEveryState_dividesTheMoveFromTheTimeout() public {
        Plan memory plan;
        (plan.segment, plan.step, plan.node, plan.element, plan.term, plan.kind) = (2, 4, 2, 257, 0, P.ARITHMETIC);
        _play(plan);
        // Everything by bisection, from the log down to a load of a fold of 40 terms.
        (plan.segment, plan.step, plan.node, plan.element, plan.term, plan.kind) = (1, 1, 1, 0, 35, 0);
        plan.style = 63;
        _play(plan);
        (plan.step, plan.node, plan.element, plan.term, plan.kind) = (2, 2, 3, 0, 1);
        _play(plan);
        // Bisecting the tensor is left out: the element comes out of its root.
        plan.style = 63 - _pointers.BISECT_TENSOR();
        (plan.segment, plan.step, plan.element) = (2, 3, 258);
        _play(plan);
        (plan.style, plan.onBinding, plan.binding) = (0, true, 2);
        _play(plan);
        uint256 states;
        for (uint256 s = 1; s <= LIVE_STATES; ++s) {
            if (_met[DisputeState(s)] > 0) ++states;
        }
        vm.assertEq(states, LIVE_STATES, "live states met");
        // Of each check two moves are accepted before and after, and two refused, at three times.
        vm.assertEq(accepted, refused);
        vm.assertGe(accepted, 3 * 40);
    }

    /// @dev One dispute along a plan to its end, with its deadline tried at every position.
    function _play(Plan memory plan) private {
        _opener = challenger;
        _plan = plan;
        bool byLog = plan.style & _pointers.BISECT_LOG() != 0;
        _dispute = _open(challenger, byLog ? 0 : plan.segment, keccak256(abi.encode(plan)));
        while (true) {
            (Side side, uint64 deadline) = dispute.clock(_dispute);
            if (side == Side.NONE) break;
            ++_met[dispute.position(_dispute).state];
            atEach(deadline, _checkClock);
            Move memory move = _rightMove();
            vm.prank(move.sender);
            (bool ok,) = move.target.call(move.data);
            require(ok, "the right move was refused");
        }
        vm.assertEq(uint8(dispute.position(_dispute).state), uint8(DisputeState.SOLVER_WON), "the run is honest");
    }

    function _checkClock(uint256 deadline) private {
        uint64 time = now_();
        (Side side,) = dispute.clock(_dispute);
        Move memory timeout = toDispute(stranger, abi.encodeCall(IDispute.timeout, (_dispute)));
        either(
            deadline,
            _rightMove(),
            abi.encodeWithSelector(DeadlinePassed.selector, deadline, time),
            timeout,
            abi.encodeWithSelector(DeadlineNotReached.selector, deadline, time)
        );
        if (time < deadline) return;
        dispute.timeout(_dispute);
        DisputeState end = side == Side.SOLVER ? DisputeState.CHALLENGER_WON : DisputeState.SOLVER_WON;
        vm.assertEq(uint8(dispute.position(_dispute).state), uint8(end), "who was on the clock has lost");
        vm.assertEq(claims.isFallen(_claim), side == Side.SOLVER, "and only a solver's claim falls");
    }

    function _rightMove() private view returns (Move memory) {
        Position memory p = dispute.position(_dispute);
        (Side side,) = dispute.clock(_dispute);
        if (side == Side.SOLVER) return toDispute(solver, _answers.answer(0, _dispute, p, 0));
        return toDispute(_opener, _pointers.point(0, _dispute, p, _plan));
    }

    // --- work that is waited for ------------------------------------------------------------------------------------

    /// @notice The segment's time is free and comes first; the deadline is that much later.
    function test_deadline_ofQueuedWork_isLaterByTheTimeThatItTakes() public {
        _dispute = _open(challenger, 2, OPEN_SALT);
        uint64 opened = now_();
        (, uint64 deadline) = dispute.clock(_dispute);
        vm.assertEq(deadline, opened + _terms().segmentSeconds + 30 + 300);
        // Another segment waits for the first one.
        bytes32 second = _open(challenger, 3, OPEN_SALT);
        (, deadline) = dispute.clock(second);
        vm.assertEq(deadline, opened + 2 * _terms().segmentSeconds + 30 + 300);
    }

    // --- the drawn verifier comes first, as long as it can still win ------------------------------------------------

    /// @notice The claim falls by another dispute: the drawn verifier's share is its own until its clock runs out.
    function test_beneficiary_isTheDrawnVerifierUntilItsDeadline() public {
        uint32 segment = claimView(_claim).segments[0];
        _plan.segment = segment;
        _plan.step = (segment - 1) * P.INTERVAL;
        _drawnDispute = _open(verifier, segment, OPEN_SALT);
        // The solver answers: now the drawn verifier is on the clock.
        (_dispute, _opener) = (_drawnDispute, verifier);
        Move memory answer = _rightMove();
        vm.prank(answer.sender);
        (bool ok,) = answer.target.call(answer.data);
        require(ok, "the answer was refused");
        (Side side, uint64 deadline) = dispute.clock(_drawnDispute);
        vm.assertEq(uint8(side), uint8(Side.OPENER));
        // The other one stands on the same segment and waits for its solver, whose clock ends earlier.
        (_dispute, _opener) = (_open(challenger, segment, bytes32("other")), challenger);
        Move memory point = _rightMove();
        vm.prank(point.sender);
        (ok,) = point.target.call(point.data);
        require(ok, "the pointer was refused");
        uint64 solvers;
        (side, solvers) = dispute.clock(_dispute);
        vm.assertEq(uint8(side), uint8(Side.SOLVER));
        vm.assertLt(solvers, deadline, "the solver's clock ends first");
        atEach(deadline, _checkBeneficiary);
        vm.assertEq(accepted, 3);
    }

    function _checkBeneficiary(uint256 deadline) private {
        Move memory timeout = toDispute(stranger, abi.encodeCall(IDispute.timeout, (_dispute)));
        accepts("timeout", timeout);
        dispute.timeout(_dispute);
        (uint256 drawn, uint256 other) = (vault.credits(verifier), vault.credits(challenger));
        claims.settle(_claim);
        (drawn, other) = (vault.credits(verifier) - drawn, vault.credits(challenger) - other);
        vm.assertTrue(drawn + other > 0 && (drawn == 0 || other == 0), "one beneficiary");
        vm.assertEq(drawn > 0, isBefore(deadline), "the drawn verifier before its deadline, else who won");
    }

    // --- after the fall ---------------------------------------------------------------------------------------------

    /// @notice Once the claim fell no clock counts: no move is taken, and both ways out are open at any time.
    function test_fallenClaim_hasNoDeadlines() public {
        _opener = challenger;
        _plan.segment = 2;
        bytes32 other = _open(challenger, 3, OPEN_SALT);
        _dispute = _open(challenger, 2, OPEN_SALT);
        (, uint64 solvers) = dispute.clock(_dispute);
        passTo(solvers);
        dispute.timeout(_dispute);
        _dispute = other;
        (, uint64 deadline) = dispute.clock(other);
        vm.assertEq(deadline, 0, "no clock");
        Move memory refund = toDispute(stranger, abi.encodeCall(IDispute.refund, (other)));
        Move memory timeout = toDispute(stranger, abi.encodeCall(IDispute.timeout, (other)));
        accepts("refund", refund);
        accepts("timeout", timeout);
        dispute.refund(other);
        bytes memory over = abi.encodeWithSelector(DisputeOver.selector, DisputeState.REFUNDED);
        refuses("refund", refund, over);
        refuses("timeout", timeout, over);
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    function _open(address opener, uint64 segment, bytes32 salt) private returns (bytes32 id) {
        id = keccak256(abi.encode(_claim, opener, segment, salt));
        vm.prank(opener);
        dispute.commitOpen(_claim, id);
        passTo(vm.getBlockTimestamp() + 1);
        vm.prank(opener);
        vm.assertEq(dispute.open(_claim, segment, salt), id);
    }

    function _terms() private view returns (Terms memory t) {
        t = plainTerms();
        bytes32[] memory data = new bytes32[](1);
        data[0] = _runs.tensorRoot(_runs.table());
        t.programRoot = TestTree.root(_runs.hashes(P.leaves()));
        t.dataRoot = TestTree.root(TestTree.leaves(data));
        t.initialStateRoot = _runs.stateRoot(0, 0);
        (t.steps, t.interval) = (P.STEPS, P.INTERVAL);
        (t.nodeCount, t.stateCount, t.dataCount) = (P.NODES, P.STATES, P.DATA);
        (t.verifiers, t.segmentsPerVerifier) = (1, 1);
        t.windowSeconds = 100_000;
    }

    function _submit(bytes32 taskId) private returns (bytes32) {
        bytes32[] memory values = _runs.logLeaves(0);
        bytes32[] memory leaves = TestTree.leaves(values);
        bytes memory data = abi.encodeCall(
            IMarket.submit,
            (
                taskId,
                TestTree.root(leaves),
                values[P.SEGMENTS],
                new bytes32[](0),
                TestTree.inclusion(leaves, 0),
                TestTree.inclusion(leaves, P.SEGMENTS)
            )
        );
        vm.prank(solver);
        (bool ok, bytes memory result) = address(market).call(data);
        require(ok, "the submission was refused");
        return abi.decode(result, (bytes32));
    }
}
