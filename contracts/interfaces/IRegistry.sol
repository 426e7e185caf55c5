// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Verifiers and their weights
/// @notice A verifier's stake is its weight in the draw. Weights are checkpointed by timestamp, so that a
/// draw uses the weights of a moment before the submission that it checks. Nothing here slashes.
interface IRegistry {
    /// @notice The stake that would remain is neither zero nor at least the minimum.
    error StakeBelowMinimum(uint256 minimum, uint256 remaining);
    /// @notice More was to be unbonded than is staked.
    error UnbondAboveStake(uint256 requested, uint256 staked);
    /// @notice Unbonding takes its time: try again at `releaseAt`.
    error StillUnbonding(uint64 releaseAt, uint64 timestamp);
    /// @notice Nothing is unbonding for this account.
    error NothingUnbonding(address verifier);
    /// @notice Weights of this moment can still change: ask for an earlier one.
    error FutureTimepoint(uint48 timepoint, uint48 timestamp);
    /// @notice The point lies outside the total weight of that moment.
    error PointOutOfRange(uint256 point, uint256 totalWeight);
    error ZeroAmount();

    event Staked(address indexed verifier, uint256 amount, uint256 stake);
    event UnbondRequested(address indexed verifier, uint256 amount, uint256 stake, uint64 releaseAt);
    event Unbonded(address indexed verifier, uint256 amount);

    /// @notice Credit of the caller -> stake; it weighs from the next second on.
    function stake(uint256 amount) external;

    /// @notice Takes weight off at once; the tokens follow after the unbonding time. A further request joins
    /// the one under way and starts its time anew.
    function requestUnbond(uint256 amount) external;

    /// @notice Pays out what has unbonded, into the caller's credit.
    function completeUnbond() external;

    function stakeOf(address verifier) external view returns (uint256);
    function unbondingOf(address verifier) external view returns (uint256 amount, uint64 releaseAt);
    /// @notice Verifiers with weight now.
    function verifierCount() external view returns (uint256);
    function totalWeight() external view returns (uint256);
    function totalWeightAt(uint48 timepoint) external view returns (uint256);

    /// @notice The verifier whose interval of the line [0, totalWeightAt(timepoint)) holds `point`.
    /// @return verifier Owner of the interval.
    /// @return start First point of the interval.
    /// @return weight Length of the interval.
    function find(uint256 point, uint48 timepoint)
        external
        view
        returns (address verifier, uint256 start, uint256 weight);
}
