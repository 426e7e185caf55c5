// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../interfaces/IJudge.sol";

/// @title The canonical bytes of fold nodes and state bindings.
/// @notice One strict pass finds every section and checks every number, so that whoever works on the result needs no
/// checks of its own. The layout is the table of docs/PROTOCOL.md, section 3; the twin is
/// `protocol/program/canonical.py`.
/// @dev Counts are capped before they are used, so a pass over truncated bytes reads zeros or other calldata for a
/// bounded while and then fails at the end, where position and length must agree. Positions are absolute in calldata.
/// `unchecked`: all numbers read are below 2**64 and are combined at most a few hundred times.
library NodeCodec {
    uint256 internal constant F32 = 1;
    uint256 internal constant U8 = 3;

    uint256 private constant MAX_BYTES = 4096;
    uint256 private constant MAX_RANK = 8;
    uint256 private constant MAX_OPERANDS = 16;
    uint256 private constant MAX_LOADS = 16;
    uint256 private constant MAX_AXES = 8;
    uint256 private constant MAX_TERMS_PER_AXIS = 16;
    uint256 private constant MAX_GUARDS = 4;
    uint256 private constant MAX_CONSTANTS = 64;
    uint256 private constant MAX_INSTRUCTIONS = 128;
    uint256 private constant MAX_ELEMENTS = (1 << 31) - 1;
    /// @dev Flag of an axis term's source: the word of an earlier load instead of a coordinate.
    uint256 internal constant LOADED_WORD = 0x80;

    /// @notice Sections of a node; every `...At` is a position in calldata.
    struct Node {
        uint256 start;
        uint256 dtype;
        uint256 rank;
        uint256 shapeAt;
        uint256 numel;
        uint256 domainRank;
        uint256 domainAt;
        uint256 terms;
        uint256 init;
        Operand[] operands;
        uint256[] loadsAt;
        uint256 guards;
        uint256 guardsAt;
        uint256 constants;
        uint256 constantsAt;
        uint256 instructions;
        uint256 instructionsAt;
        uint256 result;
    }

    struct Operand {
        uint256 kind;
        uint256 index;
        uint256 dtype;
        uint256 numel;
    }

    /// @notice Decodes a node but for its instructions, which `ScalarProgram` checks.
    function decode(bytes calldata encoded) internal pure returns (Node memory node) {
        unchecked {
            uint256 pos;
            assembly ("memory-safe") {
                pos := encoded.offset
            }
            node.start = pos;
            if (encoded.length > MAX_BYTES) revert IJudge.MalformedNode(encoded.length);
            uint256 head = word(pos);
            node.dtype = (head >> 240) & 0xff;
            _require(head >> 248 == 1 && _isDtype(node.dtype), pos, node.start);
            (node.rank, node.numel, pos) = _shape(pos + 2, node.start);
            node.shapeAt = pos - 4 * node.rank;
            (node.domainRank, node.terms, pos) = _shape(pos, node.start);
            node.domainAt = pos - 4 * node.domainRank;
            node.init = word(pos) >> 224;
            pos = _operands(node, pos + 4);
            pos = _loads(node, pos);
            pos = _guards(node, pos);
            pos = _constants(node, pos);
            node.instructions = _count(pos, MAX_INSTRUCTIONS, node.start);
            node.instructionsAt = pos + 1;
            pos += 1 + 4 * node.instructions;
            node.result = word(pos) >> 248;
            _require(node.result < firstInstruction(node) + node.instructions, pos, node.start);
            if (pos + 1 != node.start + encoded.length) revert IJudge.MalformedNode(encoded.length);
        }
    }

    /// @notice Decodes a state binding.
    function decodeBinding(bytes calldata binding)
        internal
        pure
        returns (uint256 kind, uint256 index, uint256 dtype, uint256 numel)
    {
        unchecked {
            uint256 start;
            assembly ("memory-safe") {
                start := binding.offset
            }
            uint256 head = word(start);
            kind = (head >> 240) & 0xff;
            index = (head >> 208) & 0xffffffff;
            dtype = (head >> 200) & 0xff;
            uint256 rank = (head >> 192) & 0xff;
            if (head >> 248 != 2 || kind > 1 || !_isDtype(dtype) || rank > MAX_RANK) revert IJudge.MalformedBinding(0);
            if (binding.length != 8 + 4 * rank) revert IJudge.MalformedBinding(binding.length);
            numel = _product(start + 8, rank);
            if (numel - 1 >= MAX_ELEMENTS) revert IJudge.MalformedBinding(8);
        }
    }

    /// @return The value index of the first coordinate (0 is the accumulator, then loads, then constants)
    function firstCoordinate(Node memory node) internal pure returns (uint256) {
        unchecked {
            return 1 + node.loadsAt.length + node.constants;
        }
    }

    /// @return The value index that the first instruction defines
    function firstInstruction(Node memory node) internal pure returns (uint256) {
        unchecked {
            return firstCoordinate(node) + node.rank + node.domainRank;
        }
    }

    /// @return bytes_ The 32 bytes at a position of calldata, zeros behind its end
    function word(uint256 pos) internal pure returns (uint256 bytes_) {
        assembly ("memory-safe") {
            bytes_ := calldataload(pos)
        }
    }

    function _operands(Node memory node, uint256 pos) private pure returns (uint256) {
        unchecked {
            uint256 count = _count(pos++, MAX_OPERANDS, node.start);
            node.operands = new Operand[](count);
            for (uint256 slot; slot < count; ++slot) {
                Operand memory operand = node.operands[slot];
                uint256 head = word(pos);
                operand.kind = head >> 248;
                operand.index = (head >> 216) & 0xffffffff;
                operand.dtype = (head >> 208) & 0xff;
                _require(operand.kind < 3 && _isDtype(operand.dtype), pos, node.start);
                (, operand.numel, pos) = _shape(pos + 6, node.start);
            }
            return pos;
        }
    }

    function _loads(Node memory node, uint256 pos) private pure returns (uint256) {
        unchecked {
            uint256 count = _count(pos++, MAX_LOADS, node.start);
            uint256[] memory loadsAt = new uint256[](count);
            for (uint256 k; k < count; ++k) {
                loadsAt[k] = pos;
                uint256 head = word(pos);
                uint256 slot = head >> 248;
                uint256 axes = (head >> 136) & 0xff;
                bool inRange = slot < node.operands.length && (head >> 240) & 0xff < 2 && axes <= MAX_AXES;
                _require(inRange, pos, node.start);
                // The highest address that the axes' sizes allow.
                uint256 last = (head >> 144) & 0xffffffffffffffff;
                uint256 next = pos + 15;
                for (; axes != 0; --axes) {
                    uint256 reach;
                    (reach, next) = _axis(next, node.rank + node.domainRank, k, node.start);
                    last += reach;
                }
                _require(last < node.operands[slot].numel, pos, node.start);
                pos = next;
            }
            node.loadsAt = loadsAt;
            return pos;
        }
    }

    /// @return reach What the axis adds to the address at most
    function _axis(uint256 pos, uint256 coordinates, uint256 loads, uint256 start)
        private
        pure
        returns (uint256 reach, uint256)
    {
        unchecked {
            uint256 head = word(pos);
            uint256 size = head >> 224;
            uint256 divisor = (head >> 128) & 0xffffffff;
            uint256 terms = (head >> 56) & 0xff;
            // size - 1 and divisor - 1: zero is out of range too.
            _require(
                size - 1 < MAX_ELEMENTS && divisor - 1 < MAX_ELEMENTS && terms <= MAX_TERMS_PER_AXIS, pos, start
            );
            reach = ((head >> 160) & 0xffffffffffffffff) * (size - 1);
            pos += 25;
            for (uint256 end = pos + 5 * terms; pos != end; pos += 5) {
                uint256 source = word(pos) >> 248;
                bool known = source < LOADED_WORD ? source < coordinates : source - LOADED_WORD < loads;
                _require(known, pos, start);
            }
            return (reach, pos);
        }
    }

    function _guards(Node memory node, uint256 pos) private pure returns (uint256) {
        unchecked {
            node.guards = _count(pos++, MAX_GUARDS, node.start);
            node.guardsAt = pos;
            for (uint256 end = pos + 2 * node.guards; pos != end; pos += 2) {
                uint256 head = word(pos);
                bool known = head >> 248 < node.loadsAt.length && (head >> 240) & 0xff < node.rank;
                _require(known, pos, node.start);
            }
            return pos;
        }
    }

    function _constants(Node memory node, uint256 pos) private pure returns (uint256) {
        unchecked {
            node.constants = _count(pos++, MAX_CONSTANTS, node.start);
            node.constantsAt = pos;
            uint256 start = node.start;
            for (uint256 end = pos + 5 * node.constants; pos != end; pos += 5) {
                _require(word(pos) >> 248 < 2, pos, start);
            }
            return pos;
        }
    }

    /// @return rank Its dimensions
    /// @return numel Their product, 1..2**31 - 1
    /// @return end The position behind it
    function _shape(uint256 pos, uint256 start) private pure returns (uint256 rank, uint256 numel, uint256 end) {
        unchecked {
            rank = _count(pos, MAX_RANK, start);
            numel = _product(pos + 1, rank);
            // A zero among the dimensions makes the product zero, which is out of range too.
            _require(numel - 1 < MAX_ELEMENTS, pos, start);
            end = pos + 1 + 4 * rank;
        }
    }

    /// @dev Eight factors below 2**32 cannot overflow.
    function _product(uint256 pos, uint256 rank) private pure returns (uint256 numel) {
        unchecked {
            numel = 1;
            for (uint256 end = pos + 4 * rank; pos != end; pos += 4) {
                numel *= word(pos) >> 224;
            }
        }
    }

    function _count(uint256 pos, uint256 most, uint256 start) private pure returns (uint256 count) {
        count = word(pos) >> 248;
        _require(count <= most, pos, start);
    }

    function _isDtype(uint256 dtype) private pure returns (bool) {
        unchecked {
            return dtype - 1 < 3;
        }
    }

    function _require(bool condition, uint256 pos, uint256 start) private pure {
        unchecked {
            if (!condition) revert IJudge.MalformedNode(pos - start);
        }
    }
}
