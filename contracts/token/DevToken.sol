// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The token of development chains
/// @notice An ordinary ERC-20 with permit whose whole supply is minted once, at deployment. It has no
/// owner and no mint function: a deployment on a public chain names an existing token instead.
contract DevToken is ERC20, ERC20Permit {
    /// @param holder The account that receives the whole supply.
    /// @param supply The supply, in units of 10^-18 token.
    constructor(address holder, uint256 supply)
        ERC20("Pinpoint Development Token", "PDT")
        ERC20Permit("Pinpoint Development Token")
    {
        _mint(holder, supply);
    }
}
