// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Paths} from "./libraries/Paths.sol";
import {Sizes} from "./libraries/Sizes.sol";
import {WorkQueue} from "./libraries/WorkQueue.sol";
import {Verdict} from "./Verdict.sol";

/// @title The way down: which state follows when a pointer or a root is known
/// @notice What is stored already is used at once; what is not is queued where it is work.
abstract contract Descent is Verdict {
    /// @dev The segment is known: which state comes next, from `start` on.
    function _afterSegment(
        bytes32 id,
        Record storage d,
        Known storage f,
        uint64 start
    ) internal returns (DisputeState next, uint64 extra) {
        _claimPrecedence(id, d);
        bytes32 path = Paths.segment(d.segment);
        if (_roots[d.claimId][path].root != 0) return _afterSegmentRoot(d, f, start);
        return (DisputeState.NEED_SEGMENT, _queue(d.claimId, path, start, f.segmentSeconds));
    }

    /// @dev The segment's root is known. A segment of one step needs no pointer (X07).
    function _afterSegmentRoot(
        Record storage d,
        Known storage f,
        uint64 start
    ) internal returns (DisputeState next, uint64 extra) {
        d.depth = 1;
        if (_segmentLength(d, f) > 1) return (DisputeState.POINT_STEP, 0);
        d.step = _firstStep(d, f);
        return _afterStep(d, f, start);
    }

    function _afterStep(
        Record storage d,
        Known storage f,
        uint64 start
    ) internal returns (DisputeState next, uint64 extra) {
        bytes32 path = Paths.trace(d.step);
        if (_roots[d.claimId][path].root != 0) {
            d.depth = 2;
            return (DisputeState.BRANCH, 0);
        }
        return (DisputeState.NEED_TRACE, _queue(d.claimId, path, start, f.traceSeconds));
    }

    /// @dev One element's fold is little work: the grace covers it, nothing is queued.
    function _afterElement(Record storage d) internal returns (DisputeState next) {
        if (_roots[d.claimId][Paths.fold(d.step, d.node, d.element)].root == 0) {
            return DisputeState.NEED_FOLD;
        }
        d.depth = 3;
        return DisputeState.POINT_TERM;
    }

    function _queue(
        bytes32 claimId,
        bytes32 path,
        uint64 start,
        uint64 needed
    ) private returns (uint64 extra) {
        uint64 finish;
        bool fresh;
        (extra, finish, fresh) = WorkQueue.waitFor(_queues[claimId], path, start, needed);
        if (fresh) emit WorkQueued(claimId, path, finish);
    }

    function _segmentLength(
        Record storage d,
        Known storage f
    ) internal view returns (uint64) {
        return Sizes.segmentLength(f.steps, f.interval, d.segment);
    }

    /// @dev The segment's first step, counted from 0 over the whole run.
    function _firstStep(Record storage d, Known storage f) internal view returns (uint64) {
        return f.interval * (d.segment - 1);
    }
}
