// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IRegistry} from "../interfaces/IRegistry.sol";
import {IVault} from "../interfaces/IVault.sol";
import {WeightTree} from "../libraries/WeightTree.sol";

/// @title The register of verifiers; what it promises and its errors are in IRegistry
/// @dev Every verifier has one slot of the weight tree for ever, given at its first stake. The unbonding time
/// of a deployment is at least window + T_rev + the longest dispute (GAME section 3), so that whoever was drawn
/// is still bonded when the claim ends.
contract Registry is IRegistry {
    using WeightTree for WeightTree.Tree;

    struct Unbonding {
        uint192 amount;
        uint64 releaseAt;
    }

    IVault public immutable vault;
    uint256 public immutable minimumStake;
    uint64 public immutable unbondingSeconds;

    WeightTree.Tree private _weights;
    address[] private _verifiers;
    mapping(address verifier => uint256) private _slotPlusOne;
    mapping(address verifier => Unbonding) private _unbonding;
    mapping(address verifier => uint256) public stakeOf;
    uint256 public verifierCount;

    constructor(IVault vault_, uint256 minimumStake_, uint64 unbondingSeconds_) {
        // A zero minimum would let anyone fill the tree for gas alone.
        if (minimumStake_ == 0) revert ZeroAmount();
        vault = vault_;
        minimumStake = minimumStake_;
        unbondingSeconds = unbondingSeconds_;
    }

    function stake(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        uint256 staked = stakeOf[msg.sender];
        if (staked == 0) ++verifierCount;
        if (_slotPlusOne[msg.sender] == 0) {
            _verifiers.push(msg.sender);
            _slotPlusOne[msg.sender] = _verifiers.length;
        }
        _setStake(staked + amount);
        vault.take(msg.sender, _pot(msg.sender), amount);
        emit Staked(msg.sender, amount, staked + amount);
    }

    function requestUnbond(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        uint256 staked = stakeOf[msg.sender];
        if (amount > staked) revert UnbondAboveStake(amount, staked);
        if (amount == staked) --verifierCount;
        _setStake(staked - amount);
        uint64 releaseAt = uint64(block.timestamp) + unbondingSeconds;
        uint192 pending = SafeCast.toUint192(_unbonding[msg.sender].amount + amount);
        _unbonding[msg.sender] = Unbonding(pending, releaseAt);
        emit UnbondRequested(msg.sender, amount, staked - amount, releaseAt);
    }

    function completeUnbond() external {
        Unbonding memory pending = _unbonding[msg.sender];
        if (pending.amount == 0) revert NothingUnbonding(msg.sender);
        if (block.timestamp < pending.releaseAt) {
            revert StillUnbonding(pending.releaseAt, uint64(block.timestamp));
        }
        delete _unbonding[msg.sender];
        vault.release(_pot(msg.sender), msg.sender, pending.amount);
        emit Unbonded(msg.sender, pending.amount);
    }

    function unbondingOf(address verifier) external view returns (uint256 amount, uint64 releaseAt) {
        Unbonding memory pending = _unbonding[verifier];
        return (pending.amount, pending.releaseAt);
    }

    function totalWeight() external view returns (uint256) {
        return _weights.total();
    }

    function totalWeightAt(uint48 timepoint) external view returns (uint256) {
        _checkPast(timepoint);
        return _weights.totalAt(timepoint);
    }

    function find(uint256 point, uint48 timepoint)
        external
        view
        returns (address verifier, uint256 start, uint256 weight)
    {
        _checkPast(timepoint);
        uint256 total = _weights.totalAt(timepoint);
        if (point >= total) revert PointOutOfRange(point, total);
        uint256 slot;
        (slot, start, weight) = _weights.find(point, timepoint);
        verifier = _verifiers[slot];
    }

    function _setStake(uint256 staked) private {
        if (staked != 0 && staked < minimumStake) revert StakeBelowMinimum(minimumStake, staked);
        stakeOf[msg.sender] = staked;
        _weights.set(_slotPlusOne[msg.sender] - 1, staked, uint48(block.timestamp));
    }

    /// @dev A weight of the current second may still change within it.
    function _checkPast(uint48 timepoint) private view {
        if (timepoint >= block.timestamp) revert FutureTimepoint(timepoint, uint48(block.timestamp));
    }

    function _pot(address verifier) private pure returns (bytes32) {
        return bytes32(uint256(uint160(verifier)));
    }
}
