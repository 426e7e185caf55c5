// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IVault} from "../../../contracts/interfaces/IVault.sol";

/// @notice What a token does from now on when its tokens move.
enum Conduct {
    HONEST,
    RETURNS_FALSE, // and moves nothing
    RETURNS_NOTHING, // but moves
    RETURNS_TWO, // a bool that is neither
    LIES, // says true and moves nothing
    TAKES_FEE, // one part in a hundred disappears
    GIVES_MORE, // one token wei more arrives
    REVERTS,
    REVERTS_SILENTLY,
    REVERTS_WITH_A_BOMB, // a megabyte of reasons
    BURNS_GAS, // all that it gets
    BLOCKS_ONE, // reverts if `blocked` sends or receives
    CALLS_BACK, // calls `target` before the tokens move, and remembers what came of it
    CALLS_BACK_AFTER, // the same after they moved
    CALLS_THE_RECEIVER // as ERC-777 does: the recipient's code runs
}

/// @title A token that behaves as a test says, at every moment anew
contract HostileToken is ERC20("Hostile", "HOSTILE") {
    error Refused();
    error Blocked(address account);

    Conduct public conduct;
    /// @notice The conduct of `permit`, which moves nothing.
    Conduct public permitConduct;
    address public blocked;
    uint256 public percent = 100; // of every balance is shown

    address private _target;
    bytes private _call;
    bool public calledBack;
    bool public callSucceeded;
    bytes public callResult;
    /// @notice Whether tokens covered the books whenever the token was called back.
    bool public solventDuringCalls = true;
    IVault private _vault;

    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
    }

    function set(Conduct conduct_) external {
        conduct = conduct_;
    }

    function setPermit(Conduct conduct_) external {
        permitConduct = conduct_;
    }

    function block_(address account) external {
        blocked = account;
        conduct = Conduct.BLOCKS_ONE;
    }

    function rebase(uint256 percent_) external {
        percent = percent_;
    }

    /// @notice From the next transfer on the token itself calls `target`, once for each transfer.
    function arm(Conduct when, IVault vault, address target, bytes calldata call_) external {
        conduct = when;
        _vault = vault;
        _target = target;
        _call = call_;
        calledBack = false;
    }

    /// @notice The token as an account of the market: it moves its own credit.
    function act(address target, bytes calldata call_) external {
        (bool ok, bytes memory result) = target.call(call_);
        require(ok, string(result));
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) * percent / 100;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        _conduct(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _spendAllowance(from, msg.sender, amount);
        _conduct(from, to, amount);
        return true;
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {
        if (permitConduct == Conduct.CALLS_BACK) _callBack();
        _refuse(permitConduct);
    }

    function _conduct(address from, address to, uint256 amount) private {
        Conduct c = conduct;
        _refuse(c);
        if (c == Conduct.BLOCKS_ONE && (from == blocked || to == blocked)) revert Blocked(blocked);
        if (c == Conduct.LIES) return;
        if (c == Conduct.RETURNS_FALSE) _return(0);
        if (c == Conduct.CALLS_BACK) _callBack();
        _transfer(from, to, amount);
        if (c == Conduct.TAKES_FEE) _burn(to, amount / 100);
        if (c == Conduct.GIVES_MORE) _mint(to, 1);
        if (c == Conduct.CALLS_BACK_AFTER) _callBack();
        if (c == Conduct.CALLS_THE_RECEIVER && to.code.length != 0) {
            IReceiver(to).tokensReceived(from, amount);
        }
        if (c == Conduct.RETURNS_TWO) _return(2);
        if (c == Conduct.RETURNS_NOTHING) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
    }

    function _refuse(Conduct c) private pure {
        if (c == Conduct.REVERTS) revert Refused();
        if (c == Conduct.REVERTS_SILENTLY) {
            assembly ("memory-safe") {
                revert(0, 0)
            }
        }
        if (c == Conduct.REVERTS_WITH_A_BOMB) {
            assembly ("memory-safe") {
                revert(mload(0x40), 1000000)
            }
        }
        if (c == Conduct.BURNS_GAS) {
            assembly ("memory-safe") {
                invalid()
            }
        }
    }

    /// @dev Called back from within a transfer: looks at the books as anybody could, then does its worst.
    function _callBack() private {
        if (calledBack) return;
        calledBack = true;
        uint256 owed = _vault.totalCredits() + _vault.totalPots();
        if (balanceOf(address(_vault)) < owed) solventDuringCalls = false;
        (callSucceeded, callResult) = _target.call(_call);
    }

    function _return(uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(0, word)
            return(0, 32)
        }
    }
}

/// @notice What CALLS_THE_RECEIVER calls.
interface IReceiver {
    function tokensReceived(address from, uint256 amount) external;
}

/// @title Accounts with code that fights back, whatever is called
contract HostileAccount {
    enum Manner {
        REVERTS,
        BURNS_GAS,
        BOMBS, // a megabyte of return data
        REENTERS
    }

    error NoThanks();

    Manner private immutable _manner;
    address private immutable _target;
    bytes private _call;
    uint256 public calls;
    bool public reentered;

    constructor(Manner manner, address target, bytes memory call_) {
        _manner = manner;
        _target = target;
        _call = call_;
    }

    /// @notice The account's owner moves as the account.
    function act(address target, bytes calldata call_) external returns (bytes memory) {
        (bool ok, bytes memory result) = target.call(call_);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }
        return result;
    }

    fallback() external payable {
        if (_manner == Manner.REVERTS) revert NoThanks();
        if (_manner == Manner.BURNS_GAS) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        ++calls;
        if (_manner == Manner.BOMBS) {
            assembly ("memory-safe") {
                return(0, 1000000)
            }
        }
        (reentered,) = _target.call(_call);
    }
}
