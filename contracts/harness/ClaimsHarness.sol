// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimFacts, IClaims} from "../interfaces/IClaims.sol";

/// @title Claims with whatever facts a test wants, and a record of what the dispute contract told them
contract ClaimsHarness is IClaims {
    enum Phase {
        NONE,
        SUBMITTED,
        FALLEN,
        FINAL
    }

    mapping(bytes32 claimId => ClaimFacts) private _facts;
    mapping(bytes32 claimId => Phase) public phase;
    mapping(bytes32 claimId => uint256) public openDisputes;
    mapping(bytes32 claimId => uint256) public convictions;
    mapping(bytes32 claimId => address) public beneficiary;
    mapping(bytes32 claimId => mapping(uint64 segment => mapping(address => bool)))
        public isDrawn;

    function register(bytes32 claimId, ClaimFacts calldata facts) external {
        _facts[claimId] = facts;
        phase[claimId] = Phase.SUBMITTED;
    }

    function setPhase(bytes32 claimId, Phase to) external {
        phase[claimId] = to;
    }

    function setDrawn(bytes32 claimId, uint64 segment, address verifier) external {
        isDrawn[claimId][segment][verifier] = true;
    }

    function claimFacts(bytes32 claimId) external view returns (ClaimFacts memory) {
        if (phase[claimId] == Phase.NONE) revert UnknownClaim(claimId);
        return _facts[claimId];
    }

    function isDisputable(bytes32 claimId) external view returns (bool) {
        return phase[claimId] == Phase.SUBMITTED;
    }

    function isFallen(bytes32 claimId) external view returns (bool) {
        return phase[claimId] == Phase.FALLEN;
    }

    function disputeOpened(bytes32 claimId) external {
        ++openDisputes[claimId];
    }

    function disputeClosed(bytes32 claimId) external {
        if (openDisputes[claimId] == 0) revert NoOpenDispute(claimId);
        --openDisputes[claimId];
    }

    function convict(bytes32 claimId, address to) external {
        ++convictions[claimId];
        if (phase[claimId] != Phase.SUBMITTED) return;
        phase[claimId] = Phase.FALLEN;
        beneficiary[claimId] = to;
    }
}
