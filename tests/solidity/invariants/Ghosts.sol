// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IDisputeTypes} from "../../../contracts/interfaces/IDispute.sol";
import {MarketDeployment} from "../support/MarketDeployment.sol";
import {TestTree} from "../support/TestTree.sol";
import {Answers} from "./Answers.sol";
import {CounterProgram as P} from "./CounterProgram.sol";
import {CounterRuns} from "./CounterRuns.sol";
import {Plan, Pointers} from "./Pointers.sol";

struct BidGhost {
    uint256 task;
    uint32 round;
    address bidder;
    uint256 price;
    bytes32 salt;
    bool honest; // keeps its clocks, runs the program
    bool revealed;
    bool open; // its pot is not empty
    uint256 stake;
    uint256 deposit;
}

struct TaskGhost {
    bytes32 id;
    address requester;
    uint32 round;
    uint256 escrow;
    uint256 fee;
    bool assigned; // in this round: what follows is about the winner
    bool honest;
    bool noShow; // the winner never submits
    uint256 run;
    uint256 bid; // the winner's
    bool submitted;
    uint256 claim; // of this round
    uint256[] bids;
    uint256 openings; // committed or live, about any of its claims
    bool retired; // ended, and nothing of it is left in the vault
}

struct ClaimGhost {
    bytes32 id;
    uint256 task;
    uint256 run;
    address solver;
    bool honest;
    bool silent; // does not answer disputes
    bool isFalse; // some state of its run is not the program's
    bool challenged; // by an honest, live challenger
    bool fallen;
    uint256 live; // disputes
    uint256 uncollected; // fees of verifiers that attested
    uint64 submittedAt;
}

enum Stage {
    COMMITTED,
    LIVE,
    ENDED
}

struct Opening {
    bytes32 id;
    uint256 claim;
    address opener;
    uint64 segment; // as opened: 0 begins with the log
    bytes32 salt;
    Plan plan;
    bool honest; // keeps its clocks, points at the fault
    bool silent; // stops moving at some point
    uint256 bond;
    uint64 committedAt;
    Stage stage;
    uint64 openedAt;
    uint256 measure; // I5
    uint256 moves;
    bytes32 finalHash; // I7: position and clocks at its end
}

/// @title What the campaign knows: its people, and a copy of everything that ought to be so
/// @notice Every move goes through `_accept` or `_refuse`, which count it. Tests compare the contracts with the ghosts.
abstract contract Ghosts is MarketDeployment, IDisputeTypes {
    uint256 internal constant WEALTH = 1_000_000 * TOKEN;
    uint256 internal constant PEOPLE = 12;

    CounterRuns internal runs;
    Answers internal answers;
    Pointers internal pointers;
    bytes32 internal programRoot;
    bytes32 internal dataRoot;

    address[] internal people;
    mapping(address person => uint256) internal keyOf;
    address internal pauper; // has no credit

    BidGhost[] internal bids;
    TaskGhost[] internal tasks;
    ClaimGhost[] internal claimGhosts;
    Opening[] internal openings;
    uint256[] internal active; // tasks that are not retired
    uint256[] internal pending; // openings that have not ended
    uint256[] internal ended;
    uint256 internal donated; // tokens sent to the vault without a deposit
    uint256 public dearestJudgement; // gas
    bool internal windingDown;

    mapping(string move => uint256) public accepted;
    mapping(string move => uint256) public refused;
    string[] public acceptedKinds;
    string[] public refusedKinds;

    uint256 private _randomness;

    function _setUp() internal {
        vm.warp(1_700_000_000);
        vm.roll(1_000);
        deployMarket(deployToken());
        runs = new CounterRuns();
        answers = new Answers(runs, dispute);
        pointers = new Pointers(runs, answers);
        programRoot = TestTree.root(runs.hashes(P.leaves()));
        bytes32[] memory data = new bytes32[](1);
        data[0] = runs.tensorRoot(runs.table());
        dataRoot = TestTree.root(TestTree.leaves(data));
        for (uint256 i = 0; i < PEOPLE; ++i) {
            address person = vm.addr(0xa11ce + i);
            people.push(person);
            keyOf[person] = 0xa11ce + i;
            require(IERC20(token).transfer(person, 2 * WEALTH), "transfer failed");
            vm.startPrank(person);
            IERC20(token).approve(address(vault), type(uint256).max);
            vault.deposit(WEALTH);
            vm.stopPrank();
        }
        pauper = makeAccount("pauper");
    }

    // --- people ----------------------------------------------------------------------------------------------

    function _requester() internal returns (address) {
        return people[_random(2)];
    }

    /// @dev One of four.
    function _bidder() internal returns (address) {
        return people[2 + _random(4)];
    }

    /// @dev One of three.
    function _verifier() internal returns (address) {
        return people[6 + _random(3)];
    }

    function _anyone() internal returns (address) {
        return people[_random(PEOPLE)];
    }

    // --- chance and time -------------------------------------------------------------------------------------

    function _seed(uint256 seed) internal {
        _randomness = uint256(keccak256(abi.encode(_randomness, seed)));
    }

    /// @dev 0 .. n-1.
    function _random(uint256 n) internal returns (uint256) {
        _randomness = uint256(keccak256(abi.encode(_randomness)));
        return _randomness % n;
    }

    /// @dev 0 .. n-1, the ends more often: the first term reads out of bounds, the last element is in another chunk.
    function _place(uint64 n) internal returns (uint64) {
        uint256 where = _random(4);
        if (where == 0) return 0;
        return where == 1 ? n - 1 : uint64(_random(n));
    }

    function _chance(uint256 percent) internal returns (bool) {
        return _random(100) < percent;
    }

    /// @dev A block for each twelve seconds, one at least.
    function _setTime(uint64 time) internal {
        uint64 passed = time - now_();
        if (passed == 0) return;
        vm.roll(vm.getBlockNumber() + 1 + passed / 12);
        vm.warp(time);
    }

    // --- moves -----------------------------------------------------------------------------------------------

    /// @dev Sends a move that must be accepted.
    function _accept(string memory move, address sender, address target, bytes memory data)
        internal
        returns (bytes memory result, uint256 gas_)
    {
        vm.prank(sender);
        bool ok;
        uint256 before = gasleft();
        (ok, result) = target.call(data);
        gas_ = before - gasleft();
        if (!ok) revert(string.concat("refused: ", move, ", with ", vm.toString(result)));
        _count(move);
    }

    /// @dev Counts what an accepted move also was.
    function _count(string memory move) internal {
        if (accepted[move]++ == 0) acceptedKinds.push(move);
    }

    /// @dev Sends a move that must be refused with exactly this error.
    function _refuse(string memory move, address sender, address target, bytes memory data, bytes memory error_)
        internal
    {
        vm.prank(sender);
        (bool ok, bytes memory reason) = target.call(data);
        if (ok) revert(string.concat("accepted, but had to be refused: ", move));
        vm.assertEq(reason, error_, string.concat("refused for another reason: ", move));
        if (refused[move]++ == 0) refusedKinds.push(move);
    }

    function _remove(uint256[] storage list, uint256 item) internal {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == item) {
                list[i] = list[list.length - 1];
                list.pop();
                return;
            }
        }
        revert("not in the list");
    }
}
