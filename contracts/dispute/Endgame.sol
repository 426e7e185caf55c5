// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IClaims} from "../interfaces/IClaims.sol";
import {IJudge} from "../interfaces/IJudge.sol";
import {IVault} from "../interfaces/IVault.sol";
import {Bisection} from "./Bisection.sol";
import {DisputeBase} from "./DisputeBase.sol";
import {Judgement} from "./Judgement.sol";

/// @title The second half of a Dispute: bisection and judgement
/// @notice Created by its Dispute, which runs this code on its own storage. Called directly it
/// knows no dispute and refuses every move.
contract Endgame is Bisection, Judgement {
    constructor(
        IClaims claims_,
        IVault vault_,
        IJudge judge_,
        Parameters memory p
    ) DisputeBase(claims_, vault_, judge_, p) {}
}
