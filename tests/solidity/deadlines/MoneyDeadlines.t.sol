// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {Deadlines, Move} from "./Deadlines.sol";

/// @title The deadlines of money: unbonding of verifiers, permits of tokens
contract MoneyDeadlinesTest is Deadlines {
    uint256 private constant KEY = 0xbeef;
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    address private _owner;
    uint64 private _firstRelease;

    function setUp() public {
        setUpWorld();
        deployMarket(deployToken());
        fundPeople();
        _owner = vm.addr(KEY);
        vm.prank(verifier);
        registry.stake(300 * TOKEN);
    }

    // --- unbonding --------------------------------------------------------------------------------------------------

    /// @notice Released from `releaseAt` on, not a second earlier.
    function test_releaseAt_isTheFirstSecondThatPays() public {
        vm.prank(verifier);
        registry.requestUnbond(100 * TOKEN);
        (, uint64 releaseAt) = registry.unbondingOf(verifier);
        vm.assertEq(releaseAt, START_TIME + unbondingSeconds());
        atEach(releaseAt, _checkRelease);
        vm.assertEq(accepted, 2);
        vm.assertEq(refused, 1);
    }

    function _checkRelease(uint256 deadline) private {
        Move memory move = Move(verifier, address(registry), abi.encodeCall(IRegistry.completeUnbond, ()));
        if (isBefore(deadline)) {
            refuses("complete", move, _stillUnbonding(uint64(deadline)));
        } else {
            accepts("complete", move);
        }
    }

    /// @notice A further request in the last second starts the time of all anew; at the old time nothing is paid.
    function test_releaseAt_afterAFurtherRequest_startsAnew() public {
        vm.startPrank(verifier);
        registry.requestUnbond(100 * TOKEN);
        (, _firstRelease) = registry.unbondingOf(verifier);
        vm.stopPrank();
        passTo(_firstRelease - 1);
        vm.prank(verifier);
        registry.requestUnbond(100 * TOKEN);
        (uint256 amount, uint64 releaseAt) = registry.unbondingOf(verifier);
        vm.assertEq(amount, 200 * TOKEN);
        vm.assertEq(releaseAt, _firstRelease - 1 + unbondingSeconds());
        passTo(_firstRelease);
        Move memory move = Move(verifier, address(registry), abi.encodeCall(IRegistry.completeUnbond, ()));
        refuses("complete", move, _stillUnbonding(releaseAt));
        atEach(releaseAt, _checkRelease);
    }

    function _stillUnbonding(uint64 releaseAt) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRegistry.StillUnbonding.selector, releaseAt, now_());
    }

    // --- permits ----------------------------------------------------------------------------------------------------

    /// @notice EIP-2612 lets a permit count in the second of its deadline; the vault then goes without an allowance.
    function test_permitDeadline_isTheLastSecondThatCounts() public {
        require(IERC20(token).transfer(_owner, 100), "transfer failed");
        uint256 deadline = START_TIME + 500;
        // The first second that is too late.
        atEach(deadline + 1, _checkPermit);
        vm.assertEq(accepted, 1);
        vm.assertEq(refused, 2);
    }

    function _checkPermit(uint256 tooLate) private {
        (uint8 v, bytes32 r, bytes32 s) = _sign(100, tooLate - 1);
        bytes memory data = abi.encodeCall(IVault.depositWithPermit, (100, tooLate - 1, v, r, s));
        bytes memory refusal = abi.encodeWithSignature(
            "ERC20InsufficientAllowance(address,uint256,uint256)", address(vault), 0, 100
        );
        onlyBefore(tooLate, Move(_owner, address(vault), data), refusal);
    }

    /// @notice A permit that was used in time by somebody else is worth its allowance after its deadline as well.
    function test_permitDeadline_afterAFrontRunner_doesNotStopTheDeposit() public {
        require(IERC20(token).transfer(_owner, 100), "transfer failed");
        uint256 deadline = START_TIME + 500;
        (uint8 v, bytes32 r, bytes32 s) = _sign(100, deadline);
        vm.prank(rival);
        IERC20Permit(token).permit(_owner, address(vault), 100, deadline, v, r, s);
        passTo(deadline + 1);
        vm.prank(_owner);
        vault.depositWithPermit(100, deadline, v, r, s);
        vm.assertEq(vault.credits(_owner), 100);
    }

    function _sign(uint256 amount, uint256 deadline) private view returns (uint8 v, bytes32 r, bytes32 s) {
        IERC20Permit permitting = IERC20Permit(token);
        bytes32 what = keccak256(
            abi.encode(PERMIT_TYPEHASH, _owner, address(vault), amount, permitting.nonces(_owner), deadline)
        );
        return vm.sign(KEY, keccak256(abi.encodePacked("\x19\x01", permitting.DOMAIN_SEPARATOR(), what)));
    }
}
