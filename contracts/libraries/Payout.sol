// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title How a stake is split when its solver fails
/// @notice Shares are rounded down and the rest is burned, so at least half is burned whoever colludes (P13).
library Payout {
    uint256 private constant WAD = 1e18;

    /// @notice A convicted solver's stake.
    /// @param challengerWad chi, nothing if there is no beneficiary.
    /// @param requesterWad rho; what exceeds `cap` is burned.
    /// @param cap The price that the solver would have earned.
    function slash(uint256 stake, uint256 challengerWad, uint256 requesterWad, uint256 cap)
        internal
        pure
        returns (uint256 challenger, uint256 requester, uint256 burned)
    {
        challenger = stake * challengerWad / WAD;
        requester = stake * requesterWad / WAD;
        if (requester > cap) requester = cap;
        burned = stake - challenger - requester;
    }

    /// @notice The stake of a solver that did not submit: a penalty, rounded up; half of it, at most `cap`, is
    /// the requester's for the lost time, the other half and what exceeds the cap is burned.
    function noShow(uint256 stake, uint256 noShowWad, uint256 cap)
        internal
        pure
        returns (uint256 returned, uint256 requester, uint256 burned)
    {
        uint256 penalty = (stake * noShowWad + WAD - 1) / WAD;
        requester = penalty / 2;
        if (requester > cap) requester = cap;
        burned = penalty - requester;
        returned = stake - penalty;
    }
}
