// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What an honest solver must re-execute, one piece after the other
/// @notice A claim's pieces are queued in the order in which disputes first need them. Each piece
/// is counted once, however many disputes wait for it (X12).
library WorkQueue {
    struct Queue {
        uint64 end;
        mapping(bytes32 path => uint64) finish;
    }

    /// @notice Free time, in seconds from `start`, of a turn that waits for `path`.
    /// @param start When the turn begins.
    /// @param needed Seconds that the work takes.
    /// @return extra Seconds until the work is due.
    /// @return finish When it is due; `fresh` tells that it was queued just now.
    function waitFor(
        Queue storage q,
        bytes32 path,
        uint64 start,
        uint64 needed
    ) internal returns (uint64 extra, uint64 finish, bool fresh) {
        finish = q.finish[path];
        fresh = finish == 0;
        if (fresh) {
            uint64 end = q.end;
            finish = (start > end ? start : end) + needed;
            q.end = finish;
            q.finish[path] = finish;
        }
        extra = finish > start ? finish - start : 0;
    }
}
