// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title States, events and errors of disputes
interface IDisputeTypes {
    /// @notice Where a dispute stands. Beside each state: who is on the clock, and its moves.
    enum DisputeState {
        NONE, //            no such dispute
        NEED_SEGMENT, //    solver: postSegment, useRoot
        POINT_STEP, //      opener: pointStep, bisect(SEGMENT)
        NEED_TRACE, //      solver: postTrace, useRoot
        BRANCH, //          opener: pointBinding, pointElement, pointNode, bisect(TRACE | POST_STATE)
        ANSWER_BINDING, //  solver: answerBinding
        POINT_NODE, //      opener, node known by bisection: pointNode
        NEED_TENSOR, //     solver: openTensor
        POINT_CHUNK, //     opener, tensor root open: pointBoundElement, bisect(TENSOR)
        NEED_CHUNK, //      solver: openChunk
        POINT_ELEMENT, //   opener, one chunk open: pointBoundElement
        NEED_FOLD, //       solver: postFold, useRoot
        POINT_TERM, //      opener: pointTerm, bisect(FOLD)
        NEED_TERM, //       solver: openTerm
        POINT_KIND, //      opener, term known by bisection: pointKind
        JUDGE, //           solver: judgeArithmetic or judgeLoad, as pointed
        REVEAL, //          solver: reveal
        PICK, //            opener: pick
        SOLVER_WON, //      final
        CHALLENGER_WON, //  final
        REFUNDED //         final: the claim fell otherwise, the bond went back whole
    }

    /// @notice Who is on the clock.
    enum Side {
        NONE,
        SOLVER,
        OPENER
    }

    /// @notice The tree that a bisection walks.
    enum Level {
        NONE, //       no bisection yet
        LOG, //        checkpoint log, leaves 0..M; leaf m stands for segment m, leaf 0 cannot be picked
        SEGMENT, //    state roots of a segment, one per step
        TRACE, //      tensor roots of the nodes' outputs, one per node
        POST_STATE, // tensor roots of the state after the step, one per state tensor
        TENSOR, //     chunks of the node's output
        FOLD //        terms of the element's fold
    }

    /// @notice Everything that the next move depends on, times excepted. Members that are not
    /// known yet are zero. `positionHash` is keccak256(abi.encode(position)).
    /// @param claimId The disputed claim.
    /// @param opener The party that points; payee of the bond.
    /// @param state Where the dispute stands.
    /// @param level The tree of the last bisection.
    /// @param kind What is judged: 0xff arithmetic, else the load.
    /// @param turn Moves accepted so far, the opening not counted.
    /// @param segment 1..M, 0 while the log is bisected.
    /// @param step The disputed step counted from 0 over the whole run: it leads from the state
    /// after `step` steps to the state after `step + 1`.
    /// @param node The pointed node j.
    /// @param binding The pointed state tensor q.
    /// @param element The pointed output element e, row-major.
    /// @param term The pointed term r.
    /// @param lo First leaf of the bisected range.
    /// @param size Leaves of the bisected range.
    /// @param subroot Root of the bisected range.
    /// @param descriptorHash keccak256 of the pointed node's bytes.
    /// @param segmentRoot The segment root in use (zero in NEED_SEGMENT and before).
    /// @param traceRoot The trace root in use (zero in NEED_TRACE and before).
    /// @param foldRoot The fold root in use (zero in NEED_FOLD and before).
    struct Position {
        bytes32 claimId;
        address opener;
        DisputeState state;
        Level level;
        uint8 kind;
        uint32 turn;
        uint64 segment;
        uint64 step;
        uint32 node;
        uint32 binding;
        uint64 element;
        uint64 term;
        uint64 lo;
        uint64 size;
        bytes32 subroot;
        bytes32 descriptorHash;
        bytes32 segmentRoot;
        bytes32 traceRoot;
        bytes32 foldRoot;
    }

    /// @notice Constants of a deployment.
    /// @param solverSeconds Time of the solver over a whole dispute.
    /// @param openerSeconds Time of the opener over a whole dispute.
    /// @param graceSeconds Free time of each turn; what is left of it is not kept.
    /// @param coverShare Share of a lost bond that goes to the solver, in 1e18ths; the rest burns.
    /// @param unrevealedShare Share of the bond that burns when a commitment is never opened, in
    /// 1e18ths; the rest goes back. It prices the option of committing first and deciding later.
    struct Parameters {
        uint32 solverSeconds;
        uint32 openerSeconds;
        uint32 graceSeconds;
        uint64 coverShare;
        uint64 unrevealedShare;
    }

    // ------------------------------------------------------------------ events

    event OpeningCommitted(
        bytes32 indexed claimId,
        address indexed opener,
        bytes32 commitment,
        uint256 bond
    );
    event CommitmentReclaimed(
        bytes32 indexed claimId,
        address indexed opener,
        bytes32 commitment,
        uint256 returned,
        uint256 burned
    );
    event DisputeOpened(
        bytes32 indexed disputeId,
        bytes32 indexed claimId,
        address indexed opener,
        uint64 segment
    );
    /// @notice The dispute entered `state`; `side` must move before `deadline` (seconds).
    event Turned(bytes32 indexed disputeId, DisputeState state, Side side, uint64 deadline);

    /// @notice A new root counts for the claim from now on. `before` and `after_` are the states
    /// at both ends (segment, trace); zero for a fold.
    event RootStored(
        bytes32 indexed claimId,
        bytes32 indexed path,
        bytes32 indexed disputeId,
        bytes32 root,
        bytes32 before,
        bytes32 after_
    );
    /// @notice Work was queued: the root of `path` is not due before `finish` (seconds).
    event WorkQueued(bytes32 indexed claimId, bytes32 indexed path, uint64 finish);

    event SegmentPosted(bytes32 indexed disputeId, uint64 segment, bytes32 root);
    event TracePosted(
        bytes32 indexed disputeId,
        uint64 step,
        bytes32 root,
        bytes32 pre,
        bytes32 post
    );
    event FoldPosted(
        bytes32 indexed disputeId,
        uint64 step,
        uint32 node,
        uint64 element,
        bytes32 root,
        bytes32 tensorRoot
    );
    event StepPointed(bytes32 indexed disputeId, uint64 step);
    event BindingPointed(bytes32 indexed disputeId, uint32 binding);
    event NodePointed(bytes32 indexed disputeId, uint32 node);
    event ElementPointed(bytes32 indexed disputeId, uint32 node, uint64 element);
    /// @notice `kind` is 0xff for the arithmetic of term `term`, else the number of its load.
    event TermPointed(bytes32 indexed disputeId, uint64 term, uint8 kind);

    event BisectionStarted(bytes32 indexed disputeId, Level level, uint64 size, bytes32 root);
    event Revealed(
        bytes32 indexed disputeId,
        Level level,
        uint64 lo,
        uint64 size,
        bytes32[] children
    );
    event Picked(
        bytes32 indexed disputeId,
        Level level,
        uint8 child,
        uint64 lo,
        uint64 size,
        bytes32 subroot
    );
    event TensorOpened(bytes32 indexed disputeId, uint32 node, bytes32 tensorRoot);
    event ChunkOpened(bytes32 indexed disputeId, uint64 index, bytes chunk);
    event TermOpened(bytes32 indexed disputeId, uint64 term, bytes leaf);

    /// @notice Both sides of a state tensor's binding were opened.
    event BindingJudged(bytes32 indexed disputeId, bytes32 postLeaf, bytes32 sourceLeaf);
    event ArithmeticJudged(bytes32 indexed disputeId, uint32 computed, uint32 claimed);
    event LoadJudged(bytes32 indexed disputeId, uint8 load, uint32 stored, uint32 claimed);
    /// @notice The dispute is over. `beneficiary` is zero unless the solver was convicted.
    event DisputeClosed(
        bytes32 indexed disputeId,
        bytes32 indexed claimId,
        DisputeState state,
        address beneficiary
    );

    // ------------------------------------------------------------------ errors: common checks

    error UnknownDispute(bytes32 disputeId);
    error WrongState(DisputeState expected, DisputeState got);
    /// @notice The dispute stands at `actual`, the move was made for `expected`: read it again.
    error StalePosition(bytes32 actual, bytes32 expected);
    error DisputeOver(DisputeState state);
    /// @notice The claim is not submitted, has fallen or is final.
    error ClaimNotDisputable(bytes32 claimId);
    error ClaimNotFallen(bytes32 claimId);
    error NotStarted(uint64 clockStart, uint64 time);
    error DeadlinePassed(uint64 deadline, uint64 time);
    error DeadlineNotReached(uint64 deadline, uint64 time);
    error NotOpener(address opener, address caller);
    error NotSignedBySolver(address solver, address signer);
    error WrongLength(uint256 expected, uint256 got);
    error ShareAboveOne(uint256 limit, uint256 got);

    // ------------------------------------------------------------------ errors: opening

    error OpeningOver(uint64 windowEnd, uint64 time);
    error CommitmentExists(address opener, bytes32 commitment);
    error UnknownCommitment(address opener, bytes32 commitment);
    error CommitmentTooYoung(uint64 committedAt, uint64 time);
    error RevealOver(uint64 revealEnd, uint64 time);
    error RevealNotOver(uint64 revealEnd, uint64 time);
    error SegmentOutOfRange(uint64 segment, uint64 count);

    // ------------------------------------------------------------------ errors: roots

    error ZeroRoot();
    error RootAlreadyStored(bytes32 path, bytes32 stored);
    error RootNotStored(bytes32 path);
    error WrongPreState(bytes32 expected, bytes32 got);
    error AccumulatorNotCanonical(uint32 expected, uint32 got);
    /// @notice The last accumulator, stored, is not the element of the committed tensor.
    error WrongElement(uint32 stored, uint32 accumulator);

    // ------------------------------------------------------------------ errors: pointers

    error StepOutOfRange(uint64 t, uint64 length);
    error BindingOutOfRange(uint32 q, uint32 count);
    error NodeOutOfRange(uint32 j, uint32 count);
    error WrongNode(uint32 expected, uint32 got);
    error ElementOutOfRange(uint64 e, uint64 numel);
    error ChunkOutsideRange(uint64 chunk, uint64 lo, uint64 size);
    error TermOutOfRange(uint64 r, uint64 terms);
    error KindOutOfRange(uint8 kind, uint8 loads);

    // ------------------------------------------------------------------ errors: bisection, openings

    error WrongLevel(Level level, DisputeState state);
    error WrongSubroot(bytes32 expected, bytes32 got);

    // ------------------------------------------------------------------ errors: judgement

    error WrongDescriptor(bytes32 expected, bytes32 got);
    error WrongKind(uint8 expected, uint8 got);
    error OperandNotEarlier(uint32 node, uint32 operand);
    error SourceOutOfRange(uint8 kind, uint32 index, uint32 count);
}

/// @title The moves of a dispute that `Dispute` forwards to its second half
/// @dev One contract would exceed the code size that chains accept.
interface IEndgame is IDisputeTypes {
    // ------------------------------------------------------------------ bisection

    /// @notice Asks for sub-roots instead of pointing. Opener.
    function bisect(bytes32 disputeId, bytes32 expected, Level level) external;

    /// @notice The sub-roots of the current range, all of them. Anyone, solver on the clock.
    function reveal(bytes32 disputeId, bytes32 expected, bytes32[] calldata children) external;

    /// @notice Goes into one of the revealed sub-roots. Opener.
    /// @param children The revealed sub-roots again: they are checked against the range's root,
    /// which is cheaper than storing them.
    function pick(
        bytes32 disputeId,
        bytes32 expected,
        uint8 child,
        bytes32[] calldata children
    ) external;

    /// @notice Opens the root of the pointed node's output: leaf `node` of the trace (size N).
    function openTensor(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 tensorRoot,
        bytes32[] calldata traceProof
    ) external;

    /// @notice Opens the bisected chunk: its leaf hash is the bisected sub-root.
    function openChunk(bytes32 disputeId, bytes32 expected, bytes calldata chunk) external;

    /// @notice Opens the bisected term: its leaf hash is the bisected sub-root.
    function openTerm(bytes32 disputeId, bytes32 expected, bytes calldata leaf) external;

    // ------------------------------------------------------------------ judgement (anyone)

    /// @notice Compares leaf q of the post-state with what binding q names: the tensor root of a
    /// node (trace, size N) or of a state tensor before the step (pre-state, size Q).
    function answerBinding(
        bytes32 disputeId,
        bytes32 expected,
        bytes calldata bindingBytes,
        bytes32[] calldata programProof,
        bytes32 postLeaf,
        bytes32[] calldata postProof,
        bytes32 sourceLeaf,
        bytes32[] calldata sourceProof
    ) external;

    /// @notice Runs the body once. `previousLeaf` and its proof are empty for term 0.
    function judgeArithmetic(
        bytes32 disputeId,
        bytes32 expected,
        bytes calldata node,
        bytes calldata leaf,
        bytes32[] calldata leafProof,
        bytes calldata previousLeaf,
        bytes32[] calldata previousProof
    ) external;

    /// @notice Opens the element that the load reads. The last four are empty (zero) when the load
    /// is out of bounds.
    function judgeLoad(
        bytes32 disputeId,
        bytes32 expected,
        bytes calldata node,
        bytes calldata leaf,
        bytes32[] calldata leafProof,
        bytes32 tensorRoot,
        bytes32[] calldata tensorProof,
        bytes calldata chunk,
        bytes32[] calldata chunkProof
    ) external;
}

/// @title Disputes: the solver opens, the challenger points
/// @notice A dispute narrows a claim down to one term of one fold and judges it. Anyone may open
/// one; disputes of a claim run side by side without a limit and never touch each other.
///
/// Rules that hold for every move:
/// - It names the position that it expects (`positionHash`); a reorg that changed the position
///   makes it revert with `StalePosition`. The position covers no time and no clock.
/// - `now < deadline` may move; from `deadline` on, the side on the clock has lost (`timeout`).
/// - "solver" beside a state means that the solver is on the clock. New roots count only from the
///   solver or with its signature; openings and judgements may come from anyone.
/// - "opener" beside a state means that the opener is on the clock, and only the opener may move.
/// - Sizes of all trees come from the claim and from the node's bytes, never from a party.
///
/// Trees of one leaf: a pointing move that would carry nothing but the index 0 is skipped (a
/// segment of one step goes from NEED_SEGMENT to NEED_TRACE). A pointing move that carries more
/// (the branch, the node's bytes, the kind of judgement) stays, and its index must be 0. `bisect`
/// on a tree of one leaf arrives at that leaf at once, without a reveal.
///
/// A root that is stored already for a path is used when a dispute enters the state that needs it:
/// no move, no clock. A dispute that was waiting there when another dispute brought the root goes
/// on with `useRoot`, by anyone; until then its solver stays on the clock.
interface IDispute is IEndgame {
    // ------------------------------------------------------------------ opening

    /// @notice Locks the claim's bond out of the caller's vault credit and fixes the payee.
    /// Allowed while now < windowEnd.
    /// @param commitment keccak256(abi.encode(claimId, opener, segment, salt)); it becomes the
    /// dispute's id. Copying another party's commitment is useless: it names its opener.
    function commitOpen(bytes32 claimId, bytes32 commitment) external;

    /// @notice Opens what was committed, in a later block and while now < revealEnd.
    /// @param segment 1..M: checkpoint `segment` does not follow from the one before; 0: the log
    /// was withheld, the dispute starts with its bisection (REVEAL at level LOG).
    function open(
        bytes32 claimId,
        uint64 segment,
        bytes32 salt
    ) external returns (bytes32 disputeId);

    /// @notice Ends a commitment that was not opened, by anyone: from revealEnd on the burn share
    /// is burned and the rest goes back to `opener`; if the claim has fallen, all goes back at once.
    function reclaim(bytes32 claimId, address opener, bytes32 commitment) external;

    // ------------------------------------------------------------------ new roots (solver)

    /// @notice Level 2. `before` and `after_` are leaves segment-1 and segment of the log.
    /// @param segmentRoot Tree of the states after each step of the segment.
    /// @param proofBefore Leaf segment-1 in the log (size M+1).
    /// @param proofAfter Leaf segment in the log.
    /// @param proofEnd `after_` as the last leaf of `segmentRoot`.
    /// @param signature The solver's over Root(claimId, path, root); may be empty from the solver.
    function postSegment(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 segmentRoot,
        bytes32 before,
        bytes32 after_,
        bytes32[] calldata proofBefore,
        bytes32[] calldata proofAfter,
        bytes32[] calldata proofEnd,
        bytes calldata signature
    ) external;

    /// @notice Level 3. `pre` is the segment's leaf before the pointed one (for the first step of
    /// a segment the checkpoint before it, with an empty proof), `post` the pointed leaf.
    function postTrace(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 traceRoot,
        bytes32 pre,
        bytes32 post,
        bytes32[] calldata proofPre,
        bytes32[] calldata proofPost,
        bytes calldata signature
    ) external;

    /// @notice Level 5. The fold's last accumulator must store to the disputed element.
    /// @param tensorRoot Leaf `node` of the trace (size N), with `traceProof`.
    /// @param chunk The chunk that holds the element, exact length, with `chunkProof`.
    /// @param lastLeaf The fold's last leaf: 4 * (1 + loads) bytes, with `lastLeafProof`.
    function postFold(
        bytes32 disputeId,
        bytes32 expected,
        bytes32 foldRoot,
        bytes32 tensorRoot,
        bytes32[] calldata traceProof,
        bytes calldata chunk,
        bytes32[] calldata chunkProof,
        bytes calldata lastLeaf,
        bytes32[] calldata lastLeafProof,
        bytes calldata signature
    ) external;

    /// @notice Goes on with a root that another dispute of the claim brought. Anyone.
    function useRoot(bytes32 disputeId, bytes32 expected) external;

    // ------------------------------------------------------------------ pointers (opener)

    /// @param t Step within the segment, 0..segLen-1.
    function pointStep(bytes32 disputeId, bytes32 expected, uint64 t) external;

    /// @notice Branch STATE: state tensor `q` after the step is not what its binding names.
    function pointBinding(bytes32 disputeId, bytes32 expected, uint32 q) external;

    /// @notice Branch TRACE: element `e` of the output of node `j` is wrong.
    /// @param node The node's canonical bytes, leaf j of the program tree (size N+Q).
    function pointElement(
        bytes32 disputeId,
        bytes32 expected,
        uint32 j,
        uint64 e,
        bytes calldata node,
        bytes32[] calldata programProof
    ) external;

    /// @notice Branch TRACE when the tensor was not served: binds node `j` and asks for its root.
    /// In POINT_NODE `j` must be the bisected leaf.
    function pointNode(
        bytes32 disputeId,
        bytes32 expected,
        uint32 j,
        bytes calldata node,
        bytes32[] calldata programProof
    ) external;

    /// @notice Element `e` of the bound node; after openChunk only elements of that chunk.
    function pointBoundElement(bytes32 disputeId, bytes32 expected, uint64 e) external;

    /// @param kind 0xff: the arithmetic of term r; k: the word of its load k.
    function pointTerm(bytes32 disputeId, bytes32 expected, uint64 r, uint8 kind) external;

    /// @notice The kind for the bisected term.
    function pointKind(bytes32 disputeId, bytes32 expected, uint8 kind) external;

    // ------------------------------------------------------------------ ends (anyone)

    /// @notice The side on the clock loses, however late this is called. If the claim has fallen
    /// by another dispute it refunds instead.
    function timeout(bytes32 disputeId) external;

    /// @notice Gives the bond back whole when the claim has fallen by another dispute.
    function refund(bytes32 disputeId) external;

    // ------------------------------------------------------------------ views

    function position(bytes32 disputeId) external view returns (Position memory);

    /// @return keccak256(abi.encode(position(disputeId))): the `expected` of the next move.
    function positionHash(bytes32 disputeId) external view returns (bytes32);

    /// @notice The classifier that moves and timeouts use.
    /// @return side Who is on the clock. NONE when the dispute is over, when the claim has fallen
    /// (refund), and before the clocks start.
    /// @return deadline First second at which `side` has lost; before the start, the start.
    function clock(bytes32 disputeId) external view returns (Side side, uint64 deadline);

    /// @notice Time left of each side, without grace and extra.
    function remaining(
        bytes32 disputeId
    ) external view returns (uint32 solverSeconds, uint32 openerSeconds);

    /// @notice What was kept of the pointed node.
    function shape(
        bytes32 disputeId
    )
        external
        view
        returns (uint8 dtype, uint8 width, uint64 numel, uint64 terms, uint8 loads, uint32 init);

    /// @notice The root stored for a path of a claim, with the states at both ends; zero if none.
    /// Paths: keccak256(abi.encode(1, segment)), keccak256(abi.encode(2, step)),
    /// keccak256(abi.encode(3, step, node, element)).
    function roots(
        bytes32 claimId,
        bytes32 path
    ) external view returns (bytes32 root, bytes32 before, bytes32 after_);

    /// @notice When queued work of a path is due, 0 if it never was queued (seconds).
    function workFinish(bytes32 claimId, bytes32 path) external view returns (uint64);

    /// @notice End of the claim's queue of re-executions (seconds), 0 if none.
    function queueEnd(bytes32 claimId) external view returns (uint64);

    /// @notice A commitment not opened yet; zeros otherwise.
    function commitmentOf(
        address opener,
        bytes32 commitment
    ) external view returns (bytes32 claimId, uint256 bond, uint64 committedAt);

    /// @notice The EIP-712 digest that the solver signs for a new root.
    function rootDigest(
        bytes32 claimId,
        bytes32 path,
        bytes32 root
    ) external view returns (bytes32);

    function parameters() external view returns (Parameters memory);
}
