// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice All that a dispute needs to know of a claim. Times are Unix seconds, money is token wei.
struct ClaimFacts {
    address solver;
    address requester;
    bytes32 taskId;
    bytes32 logRoot; // checkpoint log of ceil(steps / interval) + 1 leaves
    bytes32 resultRoot; // its last leaf
    bytes32 programRoot;
    bytes32 dataRoot;
    bytes32 initialStateRoot;
    uint64 steps;
    uint64 interval;
    uint32 nodeCount;
    uint32 stateCount;
    uint32 dataCount;
    uint64 segmentSeconds; // time allowed to re-execute one segment
    uint64 traceSeconds; // time allowed to trace one step
    uint64 windowEnd; // openings may be committed while now < windowEnd
    uint64 revealEnd; // and revealed while now < revealEnd
    uint64 clockStart; // no dispute clock runs before it
    uint256 bond; // what a challenger locks
}

/// @title Claims, as the dispute side sees them
interface IClaims {
    /// @notice No claim has this id.
    error UnknownClaim(bytes32 claimId);
    /// @notice Only the deployment's dispute contract may call this.
    error NotDispute(address caller, address dispute);
    /// @notice The claim has fallen or is finalised: nothing can be opened against it.
    error ClaimClosed(bytes32 claimId);
    /// @notice Openings were to be revealed before `revealEnd`.
    error RevealsClosed(bytes32 claimId, uint64 revealEnd, uint64 timestamp);
    /// @notice A dispute was closed that was never opened (an accounting fault).
    error NoOpenDispute(bytes32 claimId);

    event DisputeCounted(bytes32 indexed claimId, uint32 openDisputes);
    /// @notice The claim fell; `beneficiary` will have the challenger's share of the stake.
    event ClaimFallen(bytes32 indexed claimId, bytes32 indexed taskId, address indexed beneficiary);

    /// @notice Facts of a claim; reverts with UnknownClaim.
    function claimFacts(bytes32 claimId) external view returns (ClaimFacts memory);

    /// @notice Submitted, not fallen, not finalised.
    function isDisputable(bytes32 claimId) external view returns (bool);

    /// @notice A dispute against the claim was won (absorbing).
    function isFallen(bytes32 claimId) external view returns (bool);

    /// @notice Whether `verifier` was drawn for `segment` (1..M) of the claim.
    function isDrawn(bytes32 claimId, uint64 segment, address verifier) external view returns (bool);

    /// @notice Dispute only: one more live dispute; reverts unless the claim is disputable and now < revealEnd.
    function disputeOpened(bytes32 claimId) external;

    /// @notice Dispute only: one live dispute fewer; works in every state of the claim, also after its fall.
    function disputeClosed(bytes32 claimId) external;

    /// @notice Dispute only: the claim falls, once; later calls do nothing. `IVerification.settle` splits the stake.
    /// @param beneficiary Receives the challenger's share; the zero address burns it.
    function convict(bytes32 claimId, address beneficiary) external;
}
