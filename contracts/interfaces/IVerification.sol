// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimPhase} from "../libraries/Phases.sol";

/// @notice What the market hands over when a solver submits. Times are Unix seconds, money is token wei.
struct NewClaim {
    bytes32 taskId;
    address solver;
    uint32 round;
    bytes32 logRoot;
    bytes32 resultRoot;
    uint64 windowEnd;
    uint64 revealEnd;
    uint64 targetBlock;
    uint256 bond;
}

/// @notice A claim's life (its facts are IClaims.claimFacts).
struct ClaimView {
    ClaimPhase phase; // at the current time
    uint32 round;
    uint32 openDisputes;
    uint8 attested; // verifiers that attested
    bool drawn;
    bool settled; // the stake of a fallen claim was split
    uint64 submittedAt; // the draw uses the weights of the second before
    uint64 targetBlock; // of the draw; a missed one is replaced once by targetBlock + 257
    address[] verifiers; // drawn
    uint32[] segments; // segment numbers (1..M), equally many for each verifier, in their order
}

/// @title The verification of a claim: draw, attest, finalise, settle
interface IVerification {
    /// @notice The move belongs to another phase of the claim.
    error WrongClaimPhase(bytes32 claimId, ClaimPhase expected, ClaimPhase actual);
    /// @notice Only the deployment's market opens claims.
    error NotMarket(address caller, address market);
    /// @notice The draw waits for the hash of its target block.
    error DrawTooEarly(uint256 targetBlock, uint256 currentBlock);
    error AlreadyDrawn(bytes32 claimId);
    /// @notice Both target blocks are out of reach: the claim goes on without verifiers.
    error DrawExpired(uint256 lastBlock, uint256 currentBlock);
    error NotDrawn(bytes32 claimId, address verifier);
    error AlreadyAttested(bytes32 claimId, address verifier);
    /// @notice The verifier did not attest, or has its fee already.
    error NothingToCollect(bytes32 claimId, address verifier);
    /// @notice The stake of a fallen claim is split once.
    error AlreadySettled(bytes32 claimId);
    /// @notice A claim is not final while disputes are live.
    error DisputesOpen(bytes32 claimId, uint32 openDisputes);

    event ClaimSubmitted(
        bytes32 indexed claimId,
        bytes32 indexed taskId,
        address indexed solver,
        uint32 round,
        bytes32 logRoot,
        bytes32 resultRoot,
        uint64 targetBlock,
        uint64 windowEnd,
        uint64 revealEnd,
        uint256 bond
    );
    event VerifiersDrawn(bytes32 indexed claimId, bytes32 seed, address[] verifiers, uint32[] segments);
    event Attested(bytes32 indexed claimId, address indexed verifier);
    event FeeCollected(bytes32 indexed claimId, address indexed verifier, uint256 fee);
    event ClaimFinalised(
        bytes32 indexed claimId, bytes32 indexed taskId, uint256 toSolver, uint256 toRequester, uint256 toVerifiers
    );

    /// @notice The stake of a fallen claim was split; `toChallenger + toRequester + burned` = the stake.
    event ClaimSettled(
        bytes32 indexed claimId,
        bytes32 indexed taskId,
        address indexed beneficiary,
        uint256 toChallenger,
        uint256 toRequester,
        uint256 burned
    );

    /// @notice Market only: a submission becomes a claim.
    function openClaim(bytes32 claimId, NewClaim calldata claim) external;

    /// @notice Anyone, once the target block has a hash and before the window ends: draws the verifiers.
    function draw(bytes32 claimId) external;

    /// @notice A drawn verifier, before the window ends: its segments re-ran to the same roots. It earns the fee
    /// if the claim is finalised.
    function attest(bytes32 claimId) external;

    /// @notice Anyone, now >= revealEnd and no live dispute: pays solver and requester. O(1).
    function finalise(bytes32 claimId) external;

    /// @notice Anyone, once the claim has fallen: splits the solver's stake and frees the task for the requester.
    function settle(bytes32 claimId) external;

    /// @notice Anyone: pays a verifier that attested, once the claim is finalised.
    function collectFee(bytes32 claimId, address verifier) external;

    function claimView(bytes32 claimId) external view returns (ClaimView memory);
}
