// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {Clockwork} from "./Clockwork.sol";

/// @title Moves of the vault and of the register of verifiers that must be accepted
abstract contract MoneyMoves is Clockwork {
    function _moveMoney() internal {
        uint256 what = _random(8);
        if (what == 0) _deposit(_anyone());
        else if (what == 1) _withdraw(_anyone(), 1 + _random(1_000 * TOKEN));
        else if (what == 2) _flush();
        else if (what == 3) _donate();
        else if (what == 4) _stake(_verifier());
        else if (what == 5) _unbond(_verifier());
        else if (what == 6) _completeUnbond(_verifier());
        else _announce();
    }

    function _deposit(address person) private {
        uint256 has = IERC20(token).balanceOf(person);
        if (has == 0) return;
        uint256 amount = 1 + _random(has < 1_000 * TOKEN ? has : 1_000 * TOKEN);
        _accept("deposit", person, address(vault), abi.encodeCall(IVault.deposit, (amount)));
    }

    function _withdraw(address person, uint256 amount) internal {
        if (amount == 0 || vault.credits(person) < amount) return;
        uint256 before = IERC20(token).balanceOf(person);
        _accept("withdraw", person, address(vault), abi.encodeCall(IVault.withdraw, (person, amount)));
        vm.assertEq(IERC20(token).balanceOf(person) - before, amount, "I3: what is withdrawn arrives");
    }

    function _flush() internal {
        if (vault.credits(BURN_ADDRESS) == 0) return;
        _accept("flushBurned", _anyone(), address(vault), abi.encodeCall(IVault.flushBurned, ()));
    }

    /// @dev Tokens that nobody deposited stay in the vault and harm nobody.
    function _donate() private {
        uint256 amount = 1 + _random(TOKEN);
        address person = _anyone();
        if (IERC20(token).balanceOf(person) < amount) return;
        _accept("donate", person, token, abi.encodeCall(IERC20.transfer, (address(vault), amount)));
        donated += amount;
    }

    function _stake(address person) private {
        if (windingDown) return;
        uint256 amount = minimumVerifierStake() + _random(500 * TOKEN);
        _accept("stake", person, address(registry), abi.encodeCall(IRegistry.stake, (amount)));
    }

    /// @dev All of it, or a part that leaves the minimum.
    function _unbond(address person) internal {
        uint256 staked = registry.stakeOf(person);
        if (staked == 0) return;
        uint256 free = staked - minimumVerifierStake();
        uint256 amount = windingDown || _chance(15) || free == 0 ? staked : 1 + _random(free);
        bytes memory data = abi.encodeCall(IRegistry.requestUnbond, (amount));
        _accept("requestUnbond", person, address(registry), data);
        (, uint64 releaseAt) = registry.unbondingOf(person);
        // Longer than any claim that the verifier can be drawn for lives.
        vm.assertEq(releaseAt, now_() + unbondingSeconds(), "I9: unbonding takes its time");
    }

    function _completeUnbond(address person) internal {
        (uint256 amount, uint64 releaseAt) = registry.unbondingOf(person);
        if (amount == 0) return;
        if (now_() < releaseAt) {
            bytes memory error_ = abi.encodeWithSelector(IRegistry.StillUnbonding.selector, releaseAt, now_());
            bytes memory data = abi.encodeCall(IRegistry.completeUnbond, ());
            _refuse("StillUnbonding", person, address(registry), data, error_);
            return;
        }
        uint256 before = vault.credits(person);
        _accept("completeUnbond", person, address(registry), abi.encodeCall(IRegistry.completeUnbond, ()));
        vm.assertEq(vault.credits(person) - before, amount, "I3: an unbonded stake comes back whole");
    }

    function _announce() private {
        bytes memory data = abi.encodeCall(IMarket.announceStore, ("http://127.0.0.1:1"));
        _accept("announceStore", _anyone(), address(market), data);
    }
}
