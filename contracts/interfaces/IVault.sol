// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The one place that holds tokens
/// @notice Holds one immutable ERC-20 as `credits` (withdrawable by their owner) and `pots` (bound to a
/// module's purpose). The modules are fixed at construction; a module moves only its own pots, and no move
/// of a module calls the token: a hostile or paused token can stop deposits and withdrawals, never a verdict.
/// At all times `token.balanceOf(vault) >= totalCredits + totalPots`, with equality unless somebody sent
/// tokens without `deposit` (I3).
interface IVault {
    /// @notice Neither Registry, Market nor Dispute called a module-only function.
    error NotModule(address caller);
    /// @notice An account's credit does not cover the move: deposit the difference first.
    error InsufficientCredit(address account, uint256 required, uint256 available);
    /// @notice A module asked for more than the pot holds (an accounting fault: nothing is paid).
    error InsufficientPot(address module, bytes32 key, uint256 required, uint256 available);
    /// @notice The transfer brought another amount than named: fee-on-transfer tokens are refused.
    error WrongDeposit(uint256 expected, uint256 received);
    /// @notice The token's balance fell below the liabilities without a withdrawal: rebasing tokens are refused.
    error RebasedToken(uint256 liabilities, uint256 balance);
    /// @notice Tokens cannot be withdrawn to the zero address, nor to the vault itself.
    error BadRecipient(address recipient);
    /// @notice Zero amounts are refused, so that each event means a move of tokens.
    error ZeroAmount();

    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, address indexed recipient, uint256 amount);
    event Taken(address indexed module, bytes32 indexed key, address indexed account, uint256 amount);
    event Released(address indexed module, bytes32 indexed key, address indexed account, uint256 amount);
    event Burned(address indexed module, bytes32 indexed key, uint256 amount);

    /// @notice Moves `amount` tokens (wei) from the caller into its credit; needs the token's allowance.
    function deposit(uint256 amount) external;

    /// @notice `deposit` after an EIP-2612 permit. A permit that was already used by a front-runner does not
    /// stop the deposit: the allowance it gave is there all the same.
    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Pays `amount` of the caller's credit to `recipient`.
    function withdraw(address recipient, uint256 amount) external;

    /// @notice Sends everything burned so far to `BURN_ADDRESS`; anyone may call it.
    /// @return amount Tokens (wei) sent.
    function flushBurned() external returns (uint256 amount);

    /// @notice Module only: credit of `account` -> the calling module's pot `key`.
    function take(address account, bytes32 key, uint256 amount) external;

    /// @notice Module only: the calling module's pot `key` -> credit of `account`.
    function release(bytes32 key, address account, uint256 amount) external;

    /// @notice Module only: the calling module's pot `key` -> nobody, for ever.
    function burn(bytes32 key, uint256 amount) external;

    function token() external view returns (address);
    function isModule(address account) external view returns (bool);
    /// @notice Withdrawable tokens (wei) of an account.
    function credits(address account) external view returns (uint256);
    /// @notice Tokens (wei) in a module's pot.
    function pots(address module, bytes32 key) external view returns (uint256);
    function totalCredits() external view returns (uint256);
    function totalPots() external view returns (uint256);
    /// @notice Tokens (wei) ever burned, flushed or not.
    function totalBurned() external view returns (uint256);
}
