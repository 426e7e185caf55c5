// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TaskPhase} from "../libraries/Phases.sol";

/// @notice What a requester asks for. Immutable for the life of the task. Money is token wei, times are seconds.
struct Terms {
    bytes32 programRoot;
    bytes32 dataRoot;
    bytes32 initialStateRoot;
    bytes32 manifestRoot;
    uint64 steps; // T >= 1
    uint64 interval; // C >= 1, steps per checkpoint
    uint32 nodeCount; // N, 1..65,536
    uint32 stateCount; // Q, 1..65,536
    uint32 dataCount; // D, 0..65,536
    uint128 maxReward; // Pmax, escrowed
    uint128 valueAtRisk; // B, what an undetected cheat would gain beyond the saved work
    uint128 verifierFee; // for each verifier that attests; verifiers * verifierFee is escrowed
    uint8 verifiers; // v, 0..16
    uint32 segmentsPerVerifier; // k; verifiers * k <= 64, k <= ceil(T / C)
    uint64 bidSeconds;
    uint64 revealSeconds;
    uint64 runSeconds;
    uint64 windowSeconds; // W, from submission
    uint64 segmentSeconds; // X_seg
    uint64 traceSeconds; // X_trace
}

/// @notice Constants of a deployment. Shares and probabilities are wads (1e18 = 1).
struct Constants {
    uint64 openRevealSeconds; // T_rev: openings committed in the window are revealed until window end + this
    uint64 reopenSeconds; // the requester's time to re-open a vacant task before anyone may refund it
    uint64 maxSeconds; // upper bound of each duration in Terms
    uint64 maxWindowSeconds; // upper bound of W; verifiers unbond more slowly than any claim ends
    uint32 drawDelayBlocks; // the draw's target block = submission block + this
    uint64 honestWad; // h: a drawn verifier is honest, live, served, not bribed
    uint64 openCheckWad; // q: an open challenger re-runs the false segment
    uint64 challengerWad; // chi
    uint64 requesterWad; // rho; burned = 1 - chi - rho >= 0.5
    uint64 depositWad; // bid deposit, share of maxReward
    uint64 noShowWad; // penalty, share of the stake (>= 0.1)
    uint64 hashingWad; // eta: extra cost of hashing each step, share of a segment's cost
    uint64 traceWad; // cost of tracing one step, share of a segment's cost
    uint64 clockMissWad; // pi: an honest solver misses a clock in one dispute
    uint64 solverGas; // worst gas of a solver in one dispute
    uint128 weiPerGas; // token wei per unit of gas at the price cap
}

/// @notice A task as stored, without its Terms.
struct TaskView {
    address requester;
    TaskPhase phase; // at the current time
    uint32 round; // 0, then +1 for each re-opening
    uint32 commits; // bids committed in this round
    uint32 reveals; // bids revealed in this round
    address solver; // lowest bidder; final once RUNNING
    uint64 bidEnd;
    uint64 revealEnd;
    uint64 runEnd; // submit while now < runEnd
    uint64 reopenEnd; // once VACANT: the requester may reopen while now < reopenEnd
    uint256 price; // what the solver earns; set by assign
    uint256 requiredStake;
    uint256 deposit;
    uint64 reportedSize; // of the checkpoint log
    bytes32 reportedRoot;
    bytes32 claimId; // of this round; zero before submission
}

/// @title The life of a task, and all of its money
/// @notice posted -> bidding (commit, reveal) -> running -> submitted -> finalised, or fallen -> vacant ->
/// re-opened or refunded. From submission to settlement the claim (IVerification, IClaims) leads. Every phase is
/// a pure function of what is stored and the time: a move may be made while now < deadline.
interface IMarket {
    // --- errors (those of wrong proofs are Merkle's) --------------------------------------------------------
    error UnknownTask(bytes32 taskId);
    /// @notice The move belongs to another phase of the task.
    error WrongPhase(bytes32 taskId, TaskPhase expected, TaskPhase actual);
    error NotRequester(address caller, address requester);
    error NotSolver(address caller, address solver);
    /// @notice A term is outside its bounds; `field` is its position in Terms, from 0.
    error TermOutOfBounds(uint8 field, uint256 minimum, uint256 maximum, uint256 value);
    /// @notice A deployment constant is outside its bounds; `field` is its position in Constants, from 0.
    error ConstantOutOfBounds(uint8 field, uint256 minimum, uint256 maximum, uint256 value);
    /// @notice A task with bids cannot be cancelled.
    error BidsCommitted(bytes32 taskId, uint32 commits);
    error AlreadyCommitted(bytes32 taskId, uint32 round, address bidder);
    error EmptyCommitment();
    error NoSuchBid(bytes32 taskId, uint32 round, address bidder);
    error AlreadyRevealed(bytes32 taskId, uint32 round, address bidder);
    error CommitmentMismatch(bytes32 committed, bytes32 revealed);
    error PriceAboveMaximum(uint256 maximum, uint256 price);
    /// @notice `assign` without a revealed bid, or `void` with one.
    error WrongReveals(bytes32 taskId, uint32 reveals);
    /// @notice The winner's stake is bound to the task until it ends.
    error StakeBound(bytes32 taskId, uint32 round, address bidder);
    /// @notice A progress report must grow the log, up to ceil(T / C) + 1 leaves.
    error ReportOutOfRange(uint64 minimum, uint64 maximum, uint64 size);
    /// @notice Only the deployment's claims contract settles.
    error NotClaims(address caller, address claims);
    /// @notice While it may reopen the task, only the requester may refund it.
    error ReopenTimeRuns(bytes32 taskId, uint64 reopenEnd, uint64 timestamp);

    // --- events -------------------------------------------------------------------------------------------
    event TaskPosted(bytes32 indexed taskId, address indexed requester, Terms terms, string uri);
    /// @notice A round of bidding opened; with round 0 right after TaskPosted.
    event RoundOpened(
        bytes32 indexed taskId,
        uint32 indexed round,
        uint256 requiredStake,
        uint256 deposit,
        uint64 bidEnd,
        uint64 revealEnd,
        uint64 runEnd
    );
    event BidCommitted(bytes32 indexed taskId, uint32 indexed round, address indexed bidder, bytes32 commitment);
    event BidRevealed(bytes32 indexed taskId, uint32 indexed round, address indexed bidder, uint256 price);
    event BidReclaimed(
        bytes32 indexed taskId, uint32 indexed round, address indexed bidder, uint256 returned, uint256 burned
    );
    event TaskAssigned(bytes32 indexed taskId, uint32 indexed round, address indexed solver, uint256 price);
    event ProgressReported(bytes32 indexed taskId, uint32 indexed round, uint64 size, bytes32 root);
    /// @notice The solver did not submit in time. `returned + toRequester + burned` = its stake.
    event NoShow(
        bytes32 indexed taskId, address indexed solver, uint256 returned, uint256 toRequester, uint256 burned
    );
    event TaskRefunded(bytes32 indexed taskId, uint256 amount);
    /// @notice Where an account serves files from now on; an empty text: nowhere any more. Nothing checks it.
    event StoreAnnounced(address indexed account, string url);

    // --- requester ----------------------------------------------------------------------------------------
    /// @notice Posts a task and takes maxReward + verifiers * verifierFee from the caller's vault credit.
    /// @param uri Where the manifest is found; only announced.
    function post(Terms calldata terms, string calldata uri) external returns (bytes32 taskId);

    /// @notice Requester, while no bid is committed: the task ends and the escrow returns.
    function cancel(bytes32 taskId) external;

    /// @notice Requester, VACANT: a new round of bidding on the same escrow.
    function reopen(bytes32 taskId) external;

    /// @notice The escrow of a task without a solver returns; VACANT: called by the requester, LAPSED: by anyone.
    function refund(bytes32 taskId) external;

    // --- bidding ------------------------------------------------------------------------------------------
    /// @notice Seals a bid and takes requiredStake + deposit from the caller's vault credit.
    /// @param commitment keccak256(abi.encode(taskId, round, bidder, price, salt)), see bidCommitment.
    function commitBid(bytes32 taskId, bytes32 commitment) external;

    /// @notice Opens the caller's bid; the deposit returns to its credit at once.
    function revealBid(bytes32 taskId, uint256 price, bytes32 salt) external;

    /// @notice Anyone, after the reveals: the lowest bidder becomes solver at the second lowest price
    /// (maxReward if it is alone; the earlier reveal wins a tie).
    function assign(bytes32 taskId) external;

    /// @notice Anyone, after the reveals, if nobody revealed: the escrow returns.
    function void(bytes32 taskId) external;

    /// @notice Anyone: frees a bid that did not win. An unrevealed bid loses its deposit.
    function reclaim(bytes32 taskId, uint32 round, address bidder) external;

    // --- solver -------------------------------------------------------------------------------------------
    /// @notice Progress: the log has `size` leaves and this root, consistent with the last report.
    function report(bytes32 taskId, uint64 size, bytes32 root, bytes32[] calldata proof) external;

    /// @notice Claims the result. The log has ceil(T / C) + 1 leaves: leaf 0 is the initial state, the last the result.
    /// @param consistencyProof From the last report; empty if there was none.
    function submit(
        bytes32 taskId,
        bytes32 logRoot,
        bytes32 resultRoot,
        bytes32[] calldata consistencyProof,
        bytes32[] calldata firstLeafProof,
        bytes32[] calldata lastLeafProof
    ) external returns (bytes32 claimId);

    /// @notice Anyone, once runEnd has passed without a submission: the solver pays the no-show penalty.
    function expire(bytes32 taskId) external;

    // --- anyone -------------------------------------------------------------------------------------------
    /// @notice Tells the others where the caller serves its files. Only announced: readers check what they fetch.
    function announceStore(string calldata url) external;

    // --- settlement, by the claims contract only ------------------------------------------------------------
    /// @notice The claim of a SUBMITTED task fell: its stake is split and the task becomes VACANT.
    /// @param beneficiary Receives the challenger's share; the zero address burns it.
    function settleFallen(bytes32 taskId, address beneficiary)
        external
        returns (uint256 toChallenger, uint256 toRequester, uint256 burned);

    /// @notice The claim of a SUBMITTED task stands: pays solver and requester, keeps the fees of `attested` verifiers.
    function settleFinalised(bytes32 taskId, uint256 attested)
        external
        returns (uint256 toSolver, uint256 toRequester, uint256 toVerifiers);

    /// @notice Pays one of the kept fees.
    function settleFee(bytes32 taskId, address verifier) external returns (uint256 fee);

    // --- views --------------------------------------------------------------------------------------------
    function taskTerms(bytes32 taskId) external view returns (Terms memory);
    function requesterOf(bytes32 taskId) external view returns (address);
    function taskView(bytes32 taskId) external view returns (TaskView memory);
    /// @notice The commitment of a sealed bid; zero and true once revealed; zero and false if there is none (more).
    function bidOf(bytes32 taskId, uint32 round, address bidder)
        external
        view
        returns (bytes32 commitment, bool revealed);
    function bidCommitment(bytes32 taskId, uint32 round, address bidder, uint256 price, bytes32 salt)
        external
        pure
        returns (bytes32);
    /// @notice What a task with these terms would need now.
    /// @return stake A solver's stake.
    /// @return deposit A bid's deposit.
    /// @return bond A challenger's bond.
    /// @return bondCeiling chi * stake / 2: a bond above it keeps honest small challengers away.
    function quote(Terms calldata terms)
        external
        view
        returns (uint256 stake, uint256 deposit, uint256 bond, uint256 bondCeiling);
    function constants() external view returns (Constants memory);
}
