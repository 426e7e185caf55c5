// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MarketWorld} from "../support/MarketWorld.sol";

/// @notice A transaction that is tried.
struct Move {
    address sender;
    address target;
    bytes data;
}

/// @title What holds of every deadline: before it one move, from it on the other, never both and never neither
/// @notice Each check starts from the same state at one second before, at, and one second after the deadline.
abstract contract Deadlines is MarketWorld {
    error WasAccepted(string move, uint256 time);
    error WasRefused(string move, uint256 time, bytes reason);
    error WrongRefusal(string move, uint256 time, bytes expected, bytes reason);

    uint256 internal accepted;
    uint256 internal refused;

    /// @dev Runs `check` from here at the three times, each from the same state.
    function atEach(uint256 deadline, function(uint256) internal check) internal {
        for (uint256 i = 0; i < 3; ++i) {
            uint256 snapshot = vm.snapshotState();
            passTo(deadline - 1 + i);
            check(deadline);
            // The counts outlive the state.
            (uint256 a, uint256 r) = (accepted, refused);
            vm.revertToState(snapshot);
            (accepted, refused) = (a, r);
        }
    }

    function isBefore(uint256 deadline) internal view returns (bool) {
        return vm.getBlockTimestamp() < deadline;
    }

    /// @dev Of two moves exactly one is accepted: `early` before the deadline, `late` from it on.
    function either(uint256 deadline, Move memory early, bytes memory tooLate, Move memory late, bytes memory tooEarly)
        internal
    {
        if (isBefore(deadline)) {
            refuses("late", late, tooEarly);
            accepts("early", early);
        } else {
            refuses("early", early, tooLate);
            accepts("late", late);
        }
    }

    /// @dev A move that only is allowed before the deadline, and after which nothing else begins.
    function onlyBefore(uint256 deadline, Move memory move, bytes memory tooLate) internal {
        if (isBefore(deadline)) accepts("early", move);
        else refuses("early", move, tooLate);
    }

    /// @dev The move is accepted here; the state stays as it was.
    function accepts(string memory name, Move memory move) internal {
        uint256 snapshot = vm.snapshotState();
        (uint256 a, uint256 r) = (accepted, refused);
        vm.prank(move.sender);
        (bool ok, bytes memory reason) = move.target.call(move.data);
        if (!ok) revert WasRefused(name, vm.getBlockTimestamp(), reason);
        vm.revertToState(snapshot);
        (accepted, refused) = (a + 1, r);
    }

    /// @dev The move is refused with exactly these bytes.
    function refuses(string memory name, Move memory move, bytes memory expected) internal {
        vm.prank(move.sender);
        (bool ok, bytes memory reason) = move.target.call(move.data);
        if (ok) revert WasAccepted(name, vm.getBlockTimestamp());
        if (keccak256(reason) != keccak256(expected)) {
            revert WrongRefusal(name, vm.getBlockTimestamp(), expected, reason);
        }
        ++refused;
    }

    function toMarket(address sender, bytes memory data) internal view returns (Move memory) {
        return Move(sender, address(market), data);
    }

    function toClaims(address sender, bytes memory data) internal view returns (Move memory) {
        return Move(sender, address(claims), data);
    }

    function toDispute(address sender, bytes memory data) internal view returns (Move memory) {
        return Move(sender, address(dispute), data);
    }
}
