// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ClaimFacts} from "../../../contracts/interfaces/IClaims.sol";
import {TaskView, Terms} from "../../../contracts/interfaces/IMarket.sol";
import {ClaimView} from "../../../contracts/interfaces/IVerification.sol";
import {MarketDeployment} from "./MarketDeployment.sol";
import {TestTree} from "./TestTree.sol";

/// @title A deployed market with funded people, and short cuts to any point of a task's life
/// @notice The twin of `tests/contracts/market/world.py`.
abstract contract MarketWorld is MarketDeployment {
    uint256 internal constant WEALTH = 1_000_000 * TOKEN;
    bytes32 internal constant SALT = bytes32(uint256(7));
    uint256 internal constant START_TIME = 1_700_000_000;
    uint256 internal constant START_BLOCK = 1_000;

    address internal requester;
    address internal solver;
    address internal rival;
    address internal verifier;
    address internal challenger;
    address internal stranger;
    address[] internal people;

    function setUpWorld() internal {
        vm.warp(START_TIME);
        vm.roll(START_BLOCK);
        requester = _person("requester");
        solver = _person("solver");
        rival = _person("rival");
        verifier = _person("verifier");
        challenger = _person("challenger");
        stranger = _person("stranger");
    }

    /// @notice Everyone gets WEALTH as vault credit; needs a deployed market.
    function fundPeople() internal {
        for (uint256 i = 0; i < people.length; ++i) {
            fund(people[i], WEALTH);
        }
    }

    /// @notice Tokens of the test's become vault credit of an account.
    function fund(address account, uint256 amount) internal {
        require(IERC20(token).transfer(account, amount), "transfer failed");
        vm.startPrank(account);
        IERC20(token).approve(address(vault), amount);
        vault.deposit(amount);
        vm.stopPrank();
    }

    function _person(string memory name) private returns (address account) {
        account = makeAccount(name);
        people.push(account);
    }

    // --- time ------------------------------------------------------------------------------------------------

    /// @notice Goes on to a time, if it is not past already; a block for each second.
    function passTo(uint256 time) internal {
        uint256 now0 = now_();
        if (time <= now0) return;
        vm.roll(vm.getBlockNumber() + time - now0);
        vm.warp(time);
    }

    // --- the life of a task ----------------------------------------------------------------------------------

    /// @notice The state root at a checkpoint.
    function stateRoot(uint256 checkpoint) internal pure returns (bytes32) {
        return sha256(abi.encode("state", checkpoint));
    }

    /// @notice 10 steps in 4 segments, no verifiers.
    function plainTerms() internal pure returns (Terms memory t) {
        t.programRoot = bytes32(uint256(1));
        t.dataRoot = bytes32(uint256(2));
        t.initialStateRoot = stateRoot(0);
        t.manifestRoot = bytes32(uint256(4));
        t.steps = 10;
        t.interval = 3;
        t.nodeCount = 5;
        t.stateCount = 3;
        t.dataCount = 2;
        t.maxReward = uint128(1_000 * TOKEN);
        t.bidSeconds = 100;
        t.revealSeconds = 100;
        t.runSeconds = 1_000;
        t.windowSeconds = 2_000;
        t.segmentSeconds = 60;
        t.traceSeconds = 30;
    }

    function post(Terms memory terms) internal returns (bytes32) {
        vm.prank(requester);
        return market.post(terms, "memory://manifest");
    }

    function bid(bytes32 taskId, address bidder, uint256 price) internal {
        bytes32 commitment = market.bidCommitment(taskId, market.taskView(taskId).round, bidder, price, SALT);
        vm.prank(bidder);
        market.commitBid(taskId, commitment);
    }

    function revealBid(bytes32 taskId, address bidder, uint256 price) internal {
        vm.prank(bidder);
        market.revealBid(taskId, price, SALT);
    }

    /// @notice `solver` alone wins the current round: the task is RUNNING.
    function auction(bytes32 taskId, uint256 price) internal {
        bid(taskId, solver, price);
        TaskView memory t = market.taskView(taskId);
        passTo(t.bidEnd);
        revealBid(taskId, solver, price);
        passTo(t.revealEnd);
        market.assign(taskId);
    }

    function assigned(Terms memory terms) internal returns (bytes32 taskId) {
        taskId = post(terms);
        auction(taskId, 0);
    }

    /// @notice The checkpoint log of a task's honest solver.
    function logOf(Terms memory terms) internal pure returns (bytes32[] memory roots) {
        uint256 segments = (terms.steps - 1) / terms.interval + 1;
        roots = new bytes32[](segments + 1);
        for (uint256 i = 0; i <= segments; ++i) {
            roots[i] = stateRoot(i);
        }
    }

    /// @notice The solver of the task submits the honest log; nothing was reported before.
    function submit(bytes32 taskId) internal returns (bytes32 claimId) {
        bytes32[] memory roots = logOf(market.taskTerms(taskId));
        uint256 last = roots.length - 1;
        bytes32[] memory leaves = TestTree.leaves(roots);
        bytes32 root = TestTree.root(leaves);
        bytes32[] memory first = TestTree.inclusion(leaves, 0);
        bytes32[] memory final_ = TestTree.inclusion(leaves, last);
        vm.prank(market.taskView(taskId).solver);
        return market.submit(taskId, root, roots[last], new bytes32[](0), first, final_);
    }

    function submitted(Terms memory terms) internal returns (bytes32 taskId, bytes32 claimId) {
        taskId = assigned(terms);
        claimId = submit(taskId);
    }

    function claimFacts(bytes32 claimId) internal view returns (ClaimFacts memory) {
        return claims.claimFacts(claimId);
    }

    function claimView(bytes32 claimId) internal view returns (ClaimView memory) {
        return claims.claimView(claimId);
    }

    // --- money -----------------------------------------------------------------------------------------------

    /// @notice I3: the vault holds what it owes, and its books add up.
    function assertSolvent() internal view {
        uint256 owed = vault.totalCredits() + vault.totalPots();
        vm.assertGe(IERC20(token).balanceOf(address(vault)), owed, "tokens of the vault cover its books");
        uint256 credits = vault.credits(BURN_ADDRESS) + vault.credits(address(this));
        for (uint256 i = 0; i < people.length; ++i) {
            credits += vault.credits(people[i]);
        }
        vm.assertEq(credits, vault.totalCredits(), "credits of the people add up to the total");
    }
}
