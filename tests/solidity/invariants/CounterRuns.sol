// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerklePlain} from "../../../contracts/harness/MerklePlain.sol";
import {TestTree} from "../support/TestTree.sol";
import {CounterProgram as P} from "./CounterProgram.sol";

/// @notice Where a run departs from the program; everything after it follows from the lie.
enum LieKind {
    NONE,
    ARITHMETIC, // one accumulator
    LOAD, // one word of one term
    BINDING // one element of a state tensor, between its source and the state
}

struct Lie {
    LieKind kind;
    uint64 step;
    uint32 node;
    uint32 binding;
    uint64 element;
    uint64 term;
    uint8 load;
}

/// @title Executions of the counter program, and every tree that commits to them
/// @notice Run 0 is the honest one. The arithmetic is written out here; the judge has it from the node's bytes.
contract CounterRuns {
    /// @dev What the terms of one step read.
    struct Inputs {
        uint32[] counter;
        uint32 step;
        uint32 tick;
        uint32 total;
    }

    uint256 public count;
    mapping(uint256 run => Lie) private _lies;
    mapping(uint256 run => mapping(uint256 step => mapping(uint256 q => bytes))) private _states;
    mapping(uint256 run => mapping(uint256 step => mapping(uint256 node => bytes))) private _outputs;
    mapping(uint256 run => mapping(uint256 step => bytes32)) public stateRoot;

    constructor() {
        Lie memory none;
        execute(none);
    }

    /// @notice Runs all steps with a lie.
    function execute(Lie memory lie) public returns (uint256 run) {
        run = count++;
        _lies[run] = lie;
        uint32[] memory words = new uint32[](P.ROWS);
        _states[run][0][2] = _pack(words);
        for (uint32 i = 0; i < P.ROWS; ++i) {
            words[i] = 3 * i + 1;
        }
        _states[run][0][0] = _pack(words);
        _states[run][0][1] = _pack(new uint32[](1));
        stateRoot[run][0] = _root(stateLeaves(run, 0));
        for (uint64 step = 0; step < P.STEPS; ++step) {
            for (uint32 node = 0; node < P.NODES; ++node) {
                _outputs[run][step][node] = _output(run, step, node);
            }
            _bind(run, step);
            stateRoot[run][step + 1] = _root(stateLeaves(run, step + 1));
        }
    }

    /// @notice Whether any state is wrong: one between two checkpoints may leave no trace in the log.
    function isFalse(uint256 run) external view returns (bool) {
        for (uint256 step = 1; step <= P.STEPS; ++step) {
            if (stateRoot[run][step] != stateRoot[0][step]) return true;
        }
        return false;
    }

    // --- trees: the values of their leaves -------------------------------------------------------------------

    /// @notice State roots at the checkpoints.
    function logLeaves(uint256 run) public view returns (bytes32[] memory values) {
        values = new bytes32[](P.SEGMENTS + 1);
        for (uint64 i = 0; i <= P.SEGMENTS; ++i) {
            values[i] = stateRoot[run][i * P.INTERVAL < P.STEPS ? i * P.INTERVAL : P.STEPS];
        }
    }

    /// @notice State roots after each step of segment `m`, counted from 1.
    function segmentLeaves(uint256 run, uint64 m) public view returns (bytes32[] memory values) {
        uint64 first = (m - 1) * P.INTERVAL;
        uint64 last = first + P.INTERVAL < P.STEPS ? first + P.INTERVAL : P.STEPS;
        values = new bytes32[](last - first);
        for (uint64 i = 0; i < values.length; ++i) {
            values[i] = stateRoot[run][first + i + 1];
        }
    }

    /// @notice Tensor roots of the state after `step` steps.
    function stateLeaves(uint256 run, uint64 step) public view returns (bytes32[] memory values) {
        values = new bytes32[](P.STATES);
        for (uint256 q = 0; q < P.STATES; ++q) {
            values[q] = tensorRoot(_states[run][step][q]);
        }
    }

    /// @notice Tensor roots of the nodes' outputs in a step.
    function traceLeaves(uint256 run, uint64 step) public view returns (bytes32[] memory values) {
        values = new bytes32[](P.NODES);
        for (uint256 node = 0; node < P.NODES; ++node) {
            values[node] = tensorRoot(_outputs[run][step][node]);
        }
    }

    /// @notice Accumulator and loaded words of each term of an element's fold.
    function foldLeaves(uint256 run, uint64 step, uint32 node, uint64 element)
        public
        view
        returns (bytes[] memory values)
    {
        Inputs memory inputs = _inputs(run, step);
        values = new bytes[](P.termsOf(node));
        uint32 accumulator;
        for (uint64 term = 0; term < values.length; ++term) {
            uint32[] memory words;
            (accumulator, words) = _term(_lies[run], inputs, step, node, element, term, accumulator);
            values[term] = abi.encodePacked(accumulator);
            for (uint256 k = 0; k < words.length; ++k) {
                values[term] = abi.encodePacked(values[term], words[k]);
            }
        }
    }

    function stateTensor(uint256 run, uint64 step, uint32 q) external view returns (bytes memory) {
        return _states[run][step][q];
    }

    function output(uint256 run, uint64 step, uint32 node) external view returns (bytes memory) {
        return _outputs[run][step][node];
    }

    /// @notice The only data tensor.
    function table() public pure returns (bytes memory) {
        uint32[] memory words = new uint32[](P.TERMS);
        for (uint32 r = 0; r < P.TERMS; ++r) {
            words[r] = r + 2;
        }
        return _pack(words);
    }

    /// @notice A tensor's bytes in pieces of 1,024.
    function chunks(bytes memory tensor) public pure returns (bytes[] memory pieces) {
        pieces = new bytes[]((tensor.length - 1) / 1024 + 1);
        for (uint256 c = 0; c < pieces.length; ++c) {
            uint256 length = tensor.length - 1024 * c < 1024 ? tensor.length - 1024 * c : 1024;
            bytes memory piece = new bytes(length);
            assembly ("memory-safe") {
                mcopy(add(piece, 32), add(add(tensor, 32), mul(1024, c)), length)
            }
            pieces[c] = piece;
        }
    }

    function tensorRoot(bytes memory tensor) public pure returns (bytes32) {
        return TestTree.root(hashes(chunks(tensor)));
    }

    function hashes(bytes[] memory values) public pure returns (bytes32[] memory hashed) {
        hashed = new bytes32[](values.length);
        for (uint256 i = 0; i < values.length; ++i) {
            hashed[i] = MerklePlain.leafHash(values[i]);
        }
    }

    // --- execution -------------------------------------------------------------------------------------------

    function _output(uint256 run, uint64 step, uint32 node) private view returns (bytes memory) {
        Inputs memory inputs = _inputs(run, step);
        uint32[] memory words = new uint32[](P.numelOf(node));
        Lie memory lie = _lies[run];
        for (uint64 e = 0; e < words.length; ++e) {
            for (uint64 r = 0; r < P.termsOf(node); ++r) {
                (words[e],) = _term(lie, inputs, step, node, e, r, words[e]);
            }
        }
        return _pack(words);
    }

    function _bind(uint256 run, uint64 step) private {
        Lie memory lie = _lies[run];
        bytes[3] memory next = [_outputs[run][step][2], _outputs[run][step][0], _states[run][step][0]];
        for (uint256 q = 0; q < P.STATES; ++q) {
            if (lie.kind == LieKind.BINDING && lie.step == step && lie.binding == q) {
                next[q][4 * lie.element] ^= 0x01;
            }
            _states[run][step + 1][q] = next[q];
        }
    }

    /// @dev Outputs that do not exist yet read as zero: no node reads a later one.
    function _inputs(uint256 run, uint64 step) private view returns (Inputs memory inputs) {
        inputs.counter = _unpack(_states[run][step][0]);
        inputs.step = _unpack(_states[run][step][1])[0];
        bytes memory tick = _outputs[run][step][0];
        bytes memory total = _outputs[run][step][1];
        if (tick.length != 0) inputs.tick = _unpack(tick)[0];
        if (total.length != 0) inputs.total = _unpack(total)[0];
    }

    function _term(
        Lie memory lie,
        Inputs memory inputs,
        uint64 step,
        uint32 node,
        uint64 element,
        uint64 term,
        uint32 accumulator
    ) private pure returns (uint32, uint32[] memory words) {
        words = new uint32[](P.loadsOf(node));
        if (node == 0) {
            words[0] = inputs.step;
        } else if (node == 1) {
            words[0] = uint32(term + 2);
            words[1] = term == 0 ? P.FILL : inputs.counter[term - 1];
        } else {
            words[0] = inputs.counter[element];
            words[1] = inputs.total;
            words[2] = inputs.tick;
        }
        bool here = lie.step == step && lie.node == node && lie.element == element && lie.term == term;
        if (here && lie.kind == LieKind.LOAD) words[lie.load] ^= 1;
        // Words wrap around at 2^32.
        unchecked {
            if (node == 0) accumulator = words[0] + 1;
            else if (node == 1) accumulator += words[0] * words[1];
            else accumulator = words[0] + words[1] + words[2];
        }
        if (here && lie.kind == LieKind.ARITHMETIC) accumulator ^= 1;
        return (accumulator, words);
    }

    function _root(bytes32[] memory values) private pure returns (bytes32) {
        return TestTree.root(TestTree.leaves(values));
    }

    /// @dev Tensors hold little-endian words.
    function _pack(uint32[] memory words) private pure returns (bytes memory packed) {
        packed = new bytes(4 * words.length);
        for (uint256 i = 0; i < words.length; ++i) {
            for (uint256 b = 0; b < 4; ++b) {
                packed[4 * i + b] = bytes1(uint8(words[i] >> (8 * b)));
            }
        }
    }

    function _unpack(bytes memory packed) private pure returns (uint32[] memory words) {
        words = new uint32[](packed.length / 4);
        for (uint256 i = 0; i < words.length; ++i) {
            for (uint256 b = 0; b < 4; ++b) {
                words[i] |= uint32(uint8(packed[4 * i + b])) << uint32(8 * b);
            }
        }
    }
}
