// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDispute, IDisputeTypes, IEndgame} from "../../interfaces/IDispute.sol";

/// @title Whose turn a state is
/// @notice The one classifier behind moves, timeouts and views (I4, P18).
library Turns {
    /// @notice The side on the clock; NONE only for no dispute and for final states.
    function sideOf(IDisputeTypes.DisputeState s) internal pure returns (IDisputeTypes.Side) {
        if (!isLive(s)) return IDisputeTypes.Side.NONE;
        if (
            s == IDisputeTypes.DisputeState.POINT_STEP ||
            s == IDisputeTypes.DisputeState.BRANCH ||
            s == IDisputeTypes.DisputeState.POINT_NODE ||
            s == IDisputeTypes.DisputeState.POINT_CHUNK ||
            s == IDisputeTypes.DisputeState.POINT_ELEMENT ||
            s == IDisputeTypes.DisputeState.POINT_TERM ||
            s == IDisputeTypes.DisputeState.POINT_KIND ||
            s == IDisputeTypes.DisputeState.PICK
        ) return IDisputeTypes.Side.OPENER;
        return IDisputeTypes.Side.SOLVER;
    }

    function isLive(IDisputeTypes.DisputeState s) internal pure returns (bool) {
        return s != IDisputeTypes.DisputeState.NONE && s < IDisputeTypes.DisputeState.SOLVER_WON;
    }

    /// @notice The state that a move of IDispute needs; of two possible ones the one at hand.
    /// @param move Its selector.
    function requiredState(
        bytes4 move,
        IDisputeTypes.DisputeState s
    ) internal pure returns (IDisputeTypes.DisputeState) {
        if (move == IDispute.postSegment.selector) return IDisputeTypes.DisputeState.NEED_SEGMENT;
        if (move == IDispute.pointStep.selector) return IDisputeTypes.DisputeState.POINT_STEP;
        if (move == IDispute.postTrace.selector) return IDisputeTypes.DisputeState.NEED_TRACE;
        if (move == IDispute.pointElement.selector) return IDisputeTypes.DisputeState.BRANCH;
        if (move == IDispute.postFold.selector) return IDisputeTypes.DisputeState.NEED_FOLD;
        if (move == IDispute.pointTerm.selector) return IDisputeTypes.DisputeState.POINT_TERM;
        if (move == IEndgame.judgeArithmetic.selector) return IDisputeTypes.DisputeState.JUDGE;
        if (move == IEndgame.judgeLoad.selector) return IDisputeTypes.DisputeState.JUDGE;
        if (move == IDispute.pointBinding.selector) return IDisputeTypes.DisputeState.BRANCH;
        if (move == IEndgame.answerBinding.selector) return IDisputeTypes.DisputeState.ANSWER_BINDING;
        if (move == IEndgame.reveal.selector) return IDisputeTypes.DisputeState.REVEAL;
        if (move == IEndgame.pick.selector) return IDisputeTypes.DisputeState.PICK;
        if (move == IEndgame.openTensor.selector) return IDisputeTypes.DisputeState.NEED_TENSOR;
        if (move == IEndgame.openChunk.selector) return IDisputeTypes.DisputeState.NEED_CHUNK;
        if (move == IEndgame.openTerm.selector) return IDisputeTypes.DisputeState.NEED_TERM;
        if (move == IDispute.pointKind.selector) return IDisputeTypes.DisputeState.POINT_KIND;
        if (move == IDispute.pointNode.selector) {
            return s == IDisputeTypes.DisputeState.POINT_NODE ? s : IDisputeTypes.DisputeState.BRANCH;
        }
        if (move == IDispute.pointBoundElement.selector) {
            return s == IDisputeTypes.DisputeState.POINT_ELEMENT ? s : IDisputeTypes.DisputeState.POINT_CHUNK;
        }
        if (move == IDispute.useRoot.selector) {
            return
                s == IDisputeTypes.DisputeState.NEED_TRACE || s == IDisputeTypes.DisputeState.NEED_FOLD
                    ? s
                    : IDisputeTypes.DisputeState.NEED_SEGMENT;
        }
        // bisect, whose level must fit the state.
        return
            s == IDisputeTypes.DisputeState.BRANCH ||
                s == IDisputeTypes.DisputeState.POINT_CHUNK ||
                s == IDisputeTypes.DisputeState.POINT_TERM
                ? s
                : IDisputeTypes.DisputeState.POINT_STEP;
    }
}
