// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ClaimFacts, IClaims} from "../interfaces/IClaims.sol";
import {IMarket, Terms} from "../interfaces/IMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {ClaimView, IVerification, NewClaim} from "../interfaces/IVerification.sol";
import {Draw} from "../libraries/Draw.sol";
import {ClaimPhase, Phases} from "../libraries/Phases.sol";
import {TermRules} from "../libraries/TermRules.sol";

/// @title Claims, from submission to their end; what it promises and its errors are in IVerification and IClaims
/// @dev Holds no money: the market settles, told once by `finalise` or `settle`. No owner; market, registry and
/// dispute are fixed at construction. A claim's id binds task and round, so that no old dispute touches a
/// re-opened task (X14).
contract Claims is IVerification, IClaims {
    struct Claim {
        NewClaim facts;
        ClaimPhase stored;
        bool drawn;
        bool settled; // the stake of a fallen claim was split
        uint16 attested; // bit i: verifiers[i]
        uint16 collected;
        uint32 openDisputes;
        uint64 submittedAt;
        address beneficiary; // of a conviction
        address[] verifiers;
        uint32[] segments;
    }

    IMarket public immutable market;
    IRegistry public immutable registry;
    address public immutable dispute;

    mapping(bytes32 claimId => Claim) private _claims;

    modifier onlyDispute() {
        if (msg.sender != dispute) revert NotDispute(msg.sender, dispute);
        _;
    }

    constructor(IMarket market_, IRegistry registry_, address dispute_) {
        market = market_;
        registry = registry_;
        dispute = dispute_;
    }

    // --- the market's and everyone's moves ------------------------------------------------------------------

    /// @inheritdoc IVerification
    function openClaim(bytes32 claimId, NewClaim calldata facts) external {
        if (msg.sender != address(market)) revert NotMarket(msg.sender, address(market));
        Claim storage claim = _claims[claimId];
        claim.facts = facts;
        claim.stored = ClaimPhase.WINDOW;
        claim.submittedAt = uint64(block.timestamp);
        emit ClaimSubmitted(
            claimId,
            facts.taskId,
            facts.solver,
            facts.round,
            facts.logRoot,
            facts.resultRoot,
            facts.targetBlock,
            facts.windowEnd,
            facts.revealEnd,
            facts.bond
        );
    }

    /// @inheritdoc IVerification
    function draw(bytes32 claimId) external {
        Claim storage claim = _claimIn(claimId, ClaimPhase.WINDOW);
        if (claim.drawn) revert AlreadyDrawn(claimId);
        claim.drawn = true;
        Terms memory terms = market.taskTerms(claim.facts.taskId);
        bytes32 seed = Draw.seed(claim.facts.targetBlock, claimId);
        // Weights of the second before the submission: nothing staked later counts.
        address[] memory verifiers =
            Draw.verifiers(registry, uint48(claim.submittedAt - 1), terms.verifiers, seed);
        uint32[] memory segments = Draw.segments(
            TermRules.segmentCount(terms.steps, terms.interval), terms.segmentsPerVerifier, verifiers.length, seed
        );
        claim.verifiers = verifiers;
        claim.segments = segments;
        emit VerifiersDrawn(claimId, seed, verifiers, segments);
    }

    /// @inheritdoc IVerification
    function attest(bytes32 claimId) external {
        Claim storage claim = _claimIn(claimId, ClaimPhase.WINDOW);
        uint16 bit = _verifierBit(claimId, claim, msg.sender);
        if (claim.attested & bit != 0) revert AlreadyAttested(claimId, msg.sender);
        claim.attested |= bit;
        emit Attested(claimId, msg.sender);
    }

    /// @inheritdoc IVerification
    function finalise(bytes32 claimId) external {
        Claim storage claim = _claimIn(claimId, ClaimPhase.DECIDED);
        if (claim.openDisputes != 0) revert DisputesOpen(claimId, claim.openDisputes);
        claim.stored = ClaimPhase.FINALISED;
        bytes32 taskId = claim.facts.taskId;
        (uint256 toSolver, uint256 toRequester, uint256 toVerifiers) =
            market.settleFinalised(taskId, _countBits(claim.attested));
        emit ClaimFinalised(claimId, taskId, toSolver, toRequester, toVerifiers);
    }

    /// @inheritdoc IVerification
    function settle(bytes32 claimId) external {
        Claim storage claim = _claimIn(claimId, ClaimPhase.FALLEN);
        if (claim.settled) revert AlreadySettled(claimId);
        claim.settled = true;
        (bytes32 taskId, address beneficiary) = (claim.facts.taskId, claim.beneficiary);
        (uint256 toChallenger, uint256 toRequester, uint256 burned) = market.settleFallen(taskId, beneficiary);
        emit ClaimSettled(claimId, taskId, beneficiary, toChallenger, toRequester, burned);
    }

    /// @inheritdoc IVerification
    function collectFee(bytes32 claimId, address verifier) external {
        Claim storage claim = _claimIn(claimId, ClaimPhase.FINALISED);
        uint16 bit = _verifierBit(claimId, claim, verifier);
        if (claim.attested & bit == 0 || claim.collected & bit != 0) revert NothingToCollect(claimId, verifier);
        claim.collected |= bit;
        uint256 fee = market.settleFee(claim.facts.taskId, verifier);
        emit FeeCollected(claimId, verifier, fee);
    }

    // --- the dispute's moves --------------------------------------------------------------------------------

    /// @inheritdoc IClaims
    function disputeOpened(bytes32 claimId) external onlyDispute {
        Claim storage claim = _claim(claimId);
        ClaimPhase phase = _phase(claim);
        if (phase == ClaimPhase.DECIDED) {
            revert RevealsClosed(claimId, claim.facts.revealEnd, uint64(block.timestamp));
        }
        if (phase != ClaimPhase.WINDOW && phase != ClaimPhase.REVEALS) revert ClaimClosed(claimId);
        emit DisputeCounted(claimId, ++claim.openDisputes);
    }

    /// @inheritdoc IClaims
    function disputeClosed(bytes32 claimId) external onlyDispute {
        Claim storage claim = _claim(claimId);
        if (claim.openDisputes == 0) revert NoOpenDispute(claimId);
        emit DisputeCounted(claimId, --claim.openDisputes);
    }

    /// @inheritdoc IClaims
    function convict(bytes32 claimId, address beneficiary) external onlyDispute {
        Claim storage claim = _claim(claimId);
        if (claim.stored != ClaimPhase.WINDOW) return;
        // The verdict moves no money: a judgement has to fit below its gas cap for every node.
        claim.stored = ClaimPhase.FALLEN;
        claim.beneficiary = beneficiary;
        emit ClaimFallen(claimId, claim.facts.taskId, beneficiary);
    }

    // --- views ----------------------------------------------------------------------------------------------

    /// @inheritdoc IClaims
    function isDisputable(bytes32 claimId) external view returns (bool) {
        return _claims[claimId].stored == ClaimPhase.WINDOW;
    }

    /// @inheritdoc IClaims
    function isFallen(bytes32 claimId) external view returns (bool) {
        return _claims[claimId].stored == ClaimPhase.FALLEN;
    }

    /// @inheritdoc IClaims
    function isDrawn(bytes32 claimId, uint64 segment, address verifier) external view returns (bool) {
        Claim storage claim = _claims[claimId];
        uint256 count = claim.verifiers.length;
        if (count == 0) return false;
        uint256 each = claim.segments.length / count;
        for (uint256 i = 0; i < count; ++i) {
            if (claim.verifiers[i] != verifier) continue;
            for (uint256 j = i * each; j < (i + 1) * each; ++j) {
                if (claim.segments[j] == segment) return true;
            }
        }
        return false;
    }

    /// @inheritdoc IClaims
    function claimFacts(bytes32 claimId) external view returns (ClaimFacts memory facts) {
        Claim storage claim = _claim(claimId);
        NewClaim memory known = claim.facts;
        Terms memory terms = market.taskTerms(known.taskId);
        facts.solver = known.solver;
        facts.requester = market.requesterOf(known.taskId);
        facts.taskId = known.taskId;
        facts.logRoot = known.logRoot;
        facts.resultRoot = known.resultRoot;
        facts.programRoot = terms.programRoot;
        facts.dataRoot = terms.dataRoot;
        facts.initialStateRoot = terms.initialStateRoot;
        facts.steps = terms.steps;
        facts.interval = terms.interval;
        facts.nodeCount = terms.nodeCount;
        facts.stateCount = terms.stateCount;
        facts.dataCount = terms.dataCount;
        facts.segmentSeconds = terms.segmentSeconds;
        facts.traceSeconds = terms.traceSeconds;
        facts.windowEnd = known.windowEnd;
        facts.revealEnd = known.revealEnd;
        facts.clockStart = claim.submittedAt;
        facts.bond = known.bond;
    }

    /// @inheritdoc IVerification
    function claimView(bytes32 claimId) external view returns (ClaimView memory v) {
        Claim storage claim = _claim(claimId);
        v.phase = _phase(claim);
        v.round = claim.facts.round;
        v.openDisputes = claim.openDisputes;
        v.attested = uint8(_countBits(claim.attested)); // at most 16
        v.drawn = claim.drawn;
        v.settled = claim.settled;
        v.submittedAt = claim.submittedAt;
        v.targetBlock = claim.facts.targetBlock;
        v.verifiers = claim.verifiers;
        v.segments = claim.segments;
    }

    // --- private --------------------------------------------------------------------------------------------

    function _claim(bytes32 claimId) private view returns (Claim storage claim) {
        claim = _claims[claimId];
        if (claim.stored == ClaimPhase.NONE) revert UnknownClaim(claimId);
    }

    function _phase(Claim storage claim) private view returns (ClaimPhase) {
        return Phases.ofClaim(claim.stored, claim.facts.windowEnd, claim.facts.revealEnd, block.timestamp);
    }

    /// @dev The claim, if it is in this phase now.
    function _claimIn(bytes32 claimId, ClaimPhase expected) private view returns (Claim storage claim) {
        claim = _claim(claimId);
        ClaimPhase actual = _phase(claim);
        if (actual != expected) revert WrongClaimPhase(claimId, expected, actual);
    }

    /// @dev At most TermRules.MAX_VERIFIERS = 16 are drawn, so a bit for each fits.
    function _verifierBit(bytes32 claimId, Claim storage claim, address verifier) private view returns (uint16) {
        uint256 count = claim.verifiers.length;
        for (uint256 i = 0; i < count; ++i) {
            if (claim.verifiers[i] == verifier) return uint16(1 << i);
        }
        revert NotDrawn(claimId, verifier);
    }

    function _countBits(uint16 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }
}
