// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The program that the campaign trains: a counter in integers
/// @notice Small enough to run in a test, with what a rule of the game looks at: a tensor of two chunks, a fold of 40
/// terms (two rounds of bisection), loads of data, state and nodes, one out of bounds, bindings to nodes and to state.
///     node 0  tick     = step + 1
///     node 1  total    = sum over r < 40 of table[r] * counter[r - 1], where counter[-1] reads as 7
///     node 2  advance  = counter[o] + total + tick, for each o < 260
///     state   counter <- advance, step <- tick, previous <- counter
/// The bytes are those of docs/PROTOCOL.md, section 3.
library CounterProgram {
    uint64 internal constant STEPS = 7;
    uint64 internal constant INTERVAL = 3;
    uint64 internal constant SEGMENTS = 3; // of 3, 3 and 1 steps
    uint32 internal constant NODES = 3;
    uint32 internal constant STATES = 3;
    uint32 internal constant DATA = 1;
    uint64 internal constant ROWS = 260; // 1,040 bytes: a full chunk and one of 16 bytes
    uint64 internal constant TERMS = 40;
    uint32 internal constant FILL = 7;
    uint8 internal constant ARITHMETIC = 0xff;

    bytes1 private constant I32 = 0x02;
    bytes1 private constant STATE = 0x01;
    bytes1 private constant NODE = 0x00;
    bytes1 private constant TABLE = 0x02;
    bytes4 private constant IADD = 0x21010200; // value 1 + value 2
    bytes4 private constant IMUL = 0x23010200; // value 1 * value 2

    /// @notice The program tree's leaves: nodes, then bindings.
    function leaves() internal pure returns (bytes[] memory all) {
        all = new bytes[](NODES + STATES);
        all[0] = _tick();
        all[1] = _total();
        all[2] = _advance();
        all[3] = abi.encodePacked(bytes1(0x02), NODE, uint32(2), I32, uint8(1), uint32(ROWS));
        all[4] = abi.encodePacked(bytes1(0x02), NODE, uint32(0), I32, uint8(0));
        all[5] = abi.encodePacked(bytes1(0x02), STATE, uint32(0), I32, uint8(1), uint32(ROWS));
    }

    /// @notice Elements of a node's output.
    function numelOf(uint32 node) internal pure returns (uint64) {
        return node == 2 ? ROWS : 1;
    }

    /// @notice Elements of a state tensor.
    function stateNumel(uint32 q) internal pure returns (uint64) {
        return q == 1 ? 1 : ROWS;
    }

    /// @notice Terms of a node's fold.
    function termsOf(uint32 node) internal pure returns (uint64) {
        return node == 1 ? TERMS : 1;
    }

    /// @notice Loads of each term of a node.
    function loadsOf(uint32 node) internal pure returns (uint8) {
        return uint8(node + 1);
    }

    function _tick() private pure returns (bytes memory) {
        bytes memory operand = abi.encodePacked(STATE, uint32(1), I32, uint8(0));
        bytes memory one = abi.encodePacked(uint8(0), uint32(1)); // type I
        return abi.encodePacked(
            _head(new uint32[](0), new uint32[](0)),
            uint8(1),
            operand,
            uint8(1),
            _load(0, 0, ""),
            uint8(0), // guards
            uint8(1),
            one,
            uint8(1),
            IADD,
            uint8(3)
        );
    }

    function _total() private pure returns (bytes memory) {
        uint32[] memory domain = new uint32[](1);
        domain[0] = uint32(TERMS);
        bytes memory operands = abi.encodePacked(
            TABLE, uint32(0), I32, uint8(1), uint32(TERMS), STATE, uint32(0), I32, uint8(1), uint32(ROWS)
        );
        return abi.encodePacked(
            _head(new uint32[](0), domain),
            uint8(2),
            operands,
            uint8(2),
            _load(0, 0, _axis(TERMS, 0)),
            _load(1, FILL, _axis(ROWS, -1)),
            uint8(0), // guards
            uint8(0), // constants
            uint8(2),
            IMUL, // the values: accumulator, two loads, one coordinate; so this is value 4
            bytes4(0x21000400), // accumulator + value 4
            uint8(5)
        );
    }

    function _advance() private pure returns (bytes memory) {
        uint32[] memory shape = new uint32[](1);
        shape[0] = uint32(ROWS);
        bytes memory operands = abi.encodePacked(
            abi.encodePacked(STATE, uint32(0), I32, uint8(1), uint32(ROWS)),
            abi.encodePacked(NODE, uint32(1), I32, uint8(0)),
            abi.encodePacked(NODE, uint32(0), I32, uint8(0))
        );
        return abi.encodePacked(
            _head(shape, new uint32[](0)),
            uint8(3),
            operands,
            uint8(3),
            abi.encodePacked(_load(0, 0, _axis(ROWS, 0)), _load(1, 0, ""), _load(2, 0, "")),
            uint8(0), // guards
            uint8(0), // constants
            uint8(2),
            IADD, // the values: accumulator, three loads, one coordinate; so this is value 5
            bytes4(0x21050300), // value 5 + value 3
            uint8(6)
        );
    }

    /// @dev Tag, dtype, output shape, domain, initial accumulator 0.
    function _head(uint32[] memory shape, uint32[] memory domain) private pure returns (bytes memory) {
        return abi.encodePacked(bytes1(0x01), I32, _dimensions(shape), _dimensions(domain), uint32(0));
    }

    function _dimensions(uint32[] memory sizes) private pure returns (bytes memory packed) {
        packed = abi.encodePacked(uint8(sizes.length));
        for (uint256 i = 0; i < sizes.length; ++i) {
            packed = abi.encodePacked(packed, sizes[i]);
        }
    }

    function _load(uint8 slot, uint32 fill, bytes memory axis) private pure returns (bytes memory) {
        uint8 axes = axis.length == 0 ? 0 : 1;
        return abi.encodePacked(slot, uint8(0), fill, uint64(0), axes, axis);
    }

    /// @dev One axis of stride 1 at the only coordinate plus a constant.
    function _axis(uint64 size, int64 constant_) private pure returns (bytes memory) {
        return abi.encodePacked(uint32(size), uint64(1), uint32(1), constant_, uint8(1), uint8(0), int32(1));
    }
}
