// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDispute, IDisputeTypes, IEndgame} from "../../../contracts/interfaces/IDispute.sol";
import {Answers} from "./Answers.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {CounterRuns} from "./CounterRuns.sol";

/// @notice Where a challenger wants to go, and how.
struct Plan {
    uint64 segment;
    uint64 step; // over the whole run
    bool onBinding;
    uint32 binding;
    uint32 node;
    uint64 element;
    uint64 term;
    uint8 kind;
    uint8 style; // a bit for each level that is bisected instead of pointed at
}

/// @title A challenger's move in any position, towards its plan; and where a run departs from the honest one
contract Pointers is IDisputeTypes {
    uint8 public constant BISECT_LOG = 1;
    uint8 public constant BISECT_SEGMENT = 2;
    uint8 public constant BISECT_STEP = 4; // the trace, or the state after it
    uint8 public constant BY_TENSOR = 8; // the node first, the element out of its opened tensor
    uint8 public constant BISECT_TENSOR = 16;
    uint8 public constant BISECT_FOLD = 32;

    CounterRuns private immutable _runs;
    Answers private immutable _answers;

    constructor(CounterRuns runs, Answers answers) {
        _runs = runs;
        _answers = answers;
    }

    /// @notice The calldata of the opener's move.
    /// @param run The solver's: whoever picks repeats the sub-roots that it revealed.
    function point(uint256 run, bytes32 id, Position memory p, Plan memory plan) external view returns (bytes memory) {
        bytes32 expected = keccak256(abi.encode(p));
        if (p.state == DisputeState.POINT_STEP) {
            if (plan.style & BISECT_SEGMENT != 0) return _bisect(id, expected, Level.SEGMENT);
            return abi.encodeCall(IDispute.pointStep, (id, expected, plan.step - P.INTERVAL * (p.segment - 1)));
        }
        if (p.state == DisputeState.BRANCH) return _branch(id, expected, plan);
        if (p.state == DisputeState.POINT_NODE) return _pointNode(id, expected, plan);
        if (p.state == DisputeState.POINT_CHUNK && plan.style & BISECT_TENSOR != 0) {
            return _bisect(id, expected, Level.TENSOR);
        }
        if (p.state == DisputeState.POINT_CHUNK || p.state == DisputeState.POINT_ELEMENT) {
            return abi.encodeCall(IDispute.pointBoundElement, (id, expected, plan.element));
        }
        if (p.state == DisputeState.POINT_TERM) {
            if (plan.style & BISECT_FOLD != 0) return _bisect(id, expected, Level.FOLD);
            return abi.encodeCall(IDispute.pointTerm, (id, expected, plan.term, plan.kind));
        }
        if (p.state == DisputeState.POINT_KIND) {
            return abi.encodeCall(IDispute.pointKind, (id, expected, plan.kind));
        }
        uint64 child = (_leaf(p, plan) - p.lo) / _answers.childWidth(p.size);
        return abi.encodeCall(IEndgame.pick, (id, expected, uint8(child), _answers.children(run, p)));
    }

    /// @notice What an honest challenger finds: the first place where a run differs from the honest one.
    function findFault(uint256 run) external view returns (Plan memory plan) {
        while (_runs.stateRoot(run, plan.step + 1) == _runs.stateRoot(0, plan.step + 1)) ++plan.step;
        plan.segment = plan.step / P.INTERVAL + 1;
        while (plan.node < P.NODES && _sameOutput(run, plan.step, plan.node)) ++plan.node;
        if (plan.node == P.NODES) {
            plan.onBinding = true;
            bytes32[] memory mine = _runs.stateLeaves(0, plan.step + 1);
            bytes32[] memory theirs = _runs.stateLeaves(run, plan.step + 1);
            while (mine[plan.binding] == theirs[plan.binding]) ++plan.binding;
            return plan;
        }
        plan.element = _firstByte(_runs.output(0, plan.step, plan.node), _runs.output(run, plan.step, plan.node)) / 4;
        bytes[] memory right = _runs.foldLeaves(0, plan.step, plan.node, plan.element);
        bytes[] memory wrong = _runs.foldLeaves(run, plan.step, plan.node, plan.element);
        while (keccak256(right[plan.term]) == keccak256(wrong[plan.term])) ++plan.term;
        // A wrong word makes a wrong accumulator: the words decide first.
        plan.kind = P.ARITHMETIC;
        for (uint8 k = P.loadsOf(plan.node); k > 0; --k) {
            if (_word(right[plan.term], k) != _word(wrong[plan.term], k)) plan.kind = k - 1;
        }
    }

    function _branch(bytes32 id, bytes32 expected, Plan memory plan) private view returns (bytes memory) {
        bool bisects = plan.style & BISECT_STEP != 0;
        if (plan.onBinding) {
            if (bisects) return _bisect(id, expected, Level.POST_STATE);
            return abi.encodeCall(IDispute.pointBinding, (id, expected, plan.binding));
        }
        if (bisects) return _bisect(id, expected, Level.TRACE);
        if (plan.style & BY_TENSOR != 0) return _pointNode(id, expected, plan);
        (bytes memory node, bytes32[] memory proof) = _answers.descriptor(plan.node);
        return abi.encodeCall(IDispute.pointElement, (id, expected, plan.node, plan.element, node, proof));
    }

    function _pointNode(bytes32 id, bytes32 expected, Plan memory plan) private view returns (bytes memory) {
        (bytes memory node, bytes32[] memory proof) = _answers.descriptor(plan.node);
        return abi.encodeCall(IDispute.pointNode, (id, expected, plan.node, node, proof));
    }

    function _bisect(bytes32 id, bytes32 expected, Level level) private pure returns (bytes memory) {
        return abi.encodeCall(IEndgame.bisect, (id, expected, level));
    }

    /// @dev The leaf of the bisected level that the plan leads to.
    function _leaf(Position memory p, Plan memory plan) private pure returns (uint64) {
        if (p.level == Level.LOG) return plan.segment;
        if (p.level == Level.SEGMENT) return plan.step - P.INTERVAL * (p.segment - 1);
        if (p.level == Level.TRACE) return plan.node;
        if (p.level == Level.POST_STATE) return plan.binding;
        if (p.level == Level.TENSOR) return plan.element / 256;
        return plan.term;
    }

    function _sameOutput(uint256 run, uint64 step, uint32 node) private view returns (bool) {
        return keccak256(_runs.output(run, step, node)) == keccak256(_runs.output(0, step, node));
    }

    function _firstByte(bytes memory a, bytes memory b) private pure returns (uint64 place) {
        while (a[place] == b[place]) ++place;
    }

    /// @dev Word k of a fold's leaf; 0 is the accumulator.
    function _word(bytes memory leaf, uint256 k) private pure returns (bytes4 word) {
        assembly ("memory-safe") {
            word := mload(add(add(leaf, 32), mul(4, k)))
        }
    }
}
