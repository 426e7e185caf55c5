// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IVault} from "../interfaces/IVault.sol";

/// @title The vault; what it promises and its errors are in IVault
/// @dev The smallest contract on purpose (P27). No owner; the modules' addresses are computed before they are
/// deployed (CREATE addresses of one deployer) and never change. A burn credits BURN_ADDRESS, whose credit
/// anyone may flush: so the books always balance and no verdict waits for the token.
contract Vault is IVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    address public constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    address public immutable token;
    address public immutable registry;
    address public immutable market;
    address public immutable dispute;

    mapping(address account => uint256) public credits;
    mapping(address module => mapping(bytes32 key => uint256)) public pots;
    uint256 public totalCredits;
    uint256 public totalPots;
    uint256 public totalBurned;

    modifier onlyModule() {
        if (!isModule(msg.sender)) revert NotModule(msg.sender);
        _;
    }

    constructor(address token_, address registry_, address market_, address dispute_) {
        token = token_;
        registry = registry_;
        market = market_;
        dispute = dispute_;
    }

    function isModule(address account) public view returns (bool) {
        return account == market || account == dispute || account == registry;
    }

    function deposit(uint256 amount) external nonReentrant {
        _deposit(amount);
    }

    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        // A permit seen in the mempool can be used by anyone, and then fails here although the allowance is set.
        try IERC20Permit(token).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(amount);
    }

    function withdraw(address recipient, uint256 amount) external nonReentrant {
        if (recipient == address(0) || recipient == address(this)) revert BadRecipient(recipient);
        if (amount == 0) revert ZeroAmount();
        _debit(msg.sender, amount);
        emit Withdrawn(msg.sender, recipient, amount);
        IERC20(token).safeTransfer(recipient, amount);
    }

    function flushBurned() external nonReentrant returns (uint256 amount) {
        amount = credits[BURN_ADDRESS];
        if (amount == 0) revert ZeroAmount();
        _debit(BURN_ADDRESS, amount);
        emit Withdrawn(BURN_ADDRESS, BURN_ADDRESS, amount);
        IERC20(token).safeTransfer(BURN_ADDRESS, amount);
    }

    function take(address account, bytes32 key, uint256 amount) external onlyModule {
        _debit(account, amount);
        pots[msg.sender][key] += amount;
        totalPots += amount;
        emit Taken(msg.sender, key, account, amount);
    }

    function release(bytes32 key, address account, uint256 amount) external onlyModule {
        _drain(key, amount);
        _credit(account, amount);
        emit Released(msg.sender, key, account, amount);
    }

    function burn(bytes32 key, uint256 amount) external onlyModule {
        _drain(key, amount);
        _credit(BURN_ADDRESS, amount);
        totalBurned += amount;
        emit Burned(msg.sender, key, amount);
    }

    function _deposit(uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        uint256 before = IERC20(token).balanceOf(address(this));
        if (before < totalCredits + totalPots) revert RebasedToken(totalCredits + totalPots, before);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 balance = IERC20(token).balanceOf(address(this));
        // Compared as a sum: a token that lowers the balance gets its clear error as well.
        if (balance != before + amount) revert WrongDeposit(amount, balance > before ? balance - before : 0);
        _credit(msg.sender, amount);
        emit Deposited(msg.sender, amount);
    }

    function _credit(address account, uint256 amount) private {
        credits[account] += amount;
        totalCredits += amount;
    }

    function _debit(address account, uint256 amount) private {
        uint256 available = credits[account];
        if (available < amount) revert InsufficientCredit(account, amount, available);
        credits[account] = available - amount;
        totalCredits -= amount;
    }

    function _drain(bytes32 key, uint256 amount) private {
        uint256 available = pots[msg.sender][key];
        if (available < amount) revert InsufficientPot(msg.sender, key, amount, available);
        pots[msg.sender][key] = available - amount;
        totalPots -= amount;
    }
}
