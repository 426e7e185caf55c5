// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IVault} from "../interfaces/IVault.sol";

/// @title Keeps one part in a hundred of each transfer
contract FeeToken is ERC20("Fee", "FEE") {
    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) ? 0 : value / 100;
        super._update(from, to, value - fee);
        if (fee != 0) super._update(from, address(0), fee);
    }
}

/// @title Reports failure by returning false
contract FalseToken is ERC20("False", "FALSE") {
    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
    }

    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return false;
    }
}

/// @title Returns nothing from its transfers, as some old tokens do
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    constructor(address holder, uint256 supply) {
        balanceOf[holder] = supply;
    }

    function approve(address, uint256) external {}

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @title Changes every balance at will
contract RebasingToken is ERC20("Rebase", "REB") {
    uint256 private _percent = 100;

    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
    }

    function rebase(uint256 percent) external {
        _percent = percent;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) * _percent / 100;
    }
}

/// @title Calls back into the vault from within a transfer, as the depositor's accomplice
contract ReentrantToken is ERC20("Reentrant", "RE") {
    IVault private _vault;
    bytes private _call;

    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
        _mint(address(this), supply);
    }

    function arm(IVault vault, bytes calldata call_) external {
        _vault = vault;
        _call = call_;
        _approve(address(this), address(vault), type(uint256).max);
    }

    /// @dev The token's own credit, so that a re-entrant withdrawal has something to withdraw.
    function depositOwn(uint256 amount) external {
        bytes memory armed = _call;
        delete _call;
        _vault.deposit(amount);
        _call = armed;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_call.length != 0) {
            (bool ok, bytes memory result) = address(_vault).call(_call);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
        }
    }
}

/// @title An ordinary token that can be switched off
contract PausableToken is ERC20("Pausable", "PAUSE") {
    bool private _paused;

    error Paused();

    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
    }

    function pause(bool paused) external {
        _paused = paused;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (_paused) revert Paused();
        super._update(from, to, value);
    }
}
