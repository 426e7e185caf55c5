// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IClaims} from "../interfaces/IClaims.sol";
import {IVault} from "../interfaces/IVault.sol";

/// @title Stands where a deployment has its dispute contract, and obeys anyone: for tests of the market alone
contract DisputeStandIn {
    IClaims public immutable claims;
    IVault public immutable vault;

    constructor(IClaims claims_, IVault vault_) {
        claims = claims_;
        vault = vault_;
    }

    function open(bytes32 claimId) external {
        claims.disputeOpened(claimId);
    }

    function close(bytes32 claimId) external {
        claims.disputeClosed(claimId);
    }

    function convict(bytes32 claimId, address beneficiary) external {
        claims.convict(claimId, beneficiary);
    }

    function take(address account, bytes32 key, uint256 amount) external {
        vault.take(account, key, amount);
    }

    function release(bytes32 key, address account, uint256 amount) external {
        vault.release(key, account, amount);
    }

    function burn(bytes32 key, uint256 amount) external {
        vault.burn(key, amount);
    }
}
