// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../interfaces/IJudge.sol";
import {Float32} from "./Float32.sol";
import {NodeCodec} from "./NodeCodec.sol";

/// @title The body of a fold: a straight-line scalar program on 32-bit words.
/// @notice Every instruction is total. The meaning of each opcode is the table of docs/PROTOCOL.md, section 1; the twins
/// are `protocol/program/isa.py` and `protocol/kernels/reference/evaluator.py`.
/// @dev An instruction is four bytes: opcode and three value indices. Values are untyped words in memory.
library ScalarProgram {
    uint256 private constant MASK = 0xffffffff;

    uint256 private constant ADD = 0x01;
    uint256 private constant MUL = 0x03;
    uint256 private constant DIV = 0x04;
    uint256 private constant FMA = 0x06;
    uint256 private constant MIN = 0x07;
    uint256 private constant MAX = 0x08;
    uint256 private constant NEG = 0x09;
    uint256 private constant FLT = 0x0b;
    uint256 private constant FLE = 0x0c;
    uint256 private constant FSEL = 0x0e;
    uint256 private constant B2F = 0x0f;
    uint256 private constant IADD = 0x21;
    uint256 private constant ISUB = 0x22;
    uint256 private constant IMULHI = 0x24;
    uint256 private constant IDIV = 0x25;
    uint256 private constant IAND = 0x27;
    uint256 private constant IOR = 0x28;
    uint256 private constant ISHL = 0x2a;
    uint256 private constant ISHR = 0x2b;
    uint256 private constant ILT = 0x2d;
    uint256 private constant IULT = 0x2e;
    uint256 private constant IEQ = 0x2f;
    uint256 private constant IMIN = 0x30;
    uint256 private constant ISEL = 0x32;
    uint256 private constant F2B = 0x33;

    /// @dev Bit `op` is set for every opcode that exists: 0x01..0x10 and 0x21..0x34.
    uint256 private constant KNOWN = 0x1ffffe0001fffe;

    /// @notice Reverts unless every opcode is known and every argument is defined before its use.
    function check(NodeCodec.Node memory node) internal pure {
        unchecked {
            uint256 defined = NodeCodec.firstInstruction(node);
            uint256 pos = node.instructionsAt;
            for (uint256 end = pos + 4 * node.instructions; pos != end; pos += 4) {
                _fetch(pos, defined++, node.start);
            }
        }
    }

    /// @notice Runs a body.
    /// @param values Accumulator, words of the loads, constants, coordinates, and room for one word per instruction.
    function run(NodeCodec.Node memory node, uint256[] memory values) internal pure {
        unchecked {
            uint256 start = node.start;
            uint256 pos = node.instructionsAt;
            uint256 end = values.length;
            for (uint256 next = end - node.instructions; next != end; ++next) {
                (uint256 op, uint256 a, uint256 b, uint256 c) = _fetch(pos, next, start);
                pos += 4;
                assembly ("memory-safe") {
                    // `values[i]` without a second comparison: `_fetch` holds the indices below `next`.
                    let first := add(values, 32)
                    a := mload(add(first, shl(5, a)))
                    b := mload(add(first, shl(5, b)))
                    c := mload(add(first, shl(5, c)))
                }
                uint256 result;
                if (op < IADD) result = op < MIN ? _arithmetic(op, a, b, c) : _float(op, a, b, c);
                else result = op < ILT ? _integer(op, a, b) : _compare(op, a, b, c);
                assembly ("memory-safe") {
                    mstore(add(add(values, 32), shl(5, next)), result)
                }
            }
        }
    }

    /// @dev The instruction at a position; reverts unless it can run with values below `defined`.
    function _fetch(uint256 pos, uint256 defined, uint256 start)
        private
        pure
        returns (uint256 op, uint256 a, uint256 b, uint256 c)
    {
        unchecked {
            uint256 word = NodeCodec.word(pos);
            assembly ("memory-safe") {
                op := byte(0, word)
                a := byte(1, word)
                b := byte(2, word)
                c := byte(3, word)
            }
            uint256 last = defined - 1;
            // An index above the last value makes its difference negative.
            uint256 undefined = ((last - a) | (last - b) | (last - c)) >> 255;
            if (undefined >= (KNOWN >> op) & 1) revert IJudge.MalformedNode(pos - start);
        }
    }

    /// @dev ADD .. FMA.
    function _arithmetic(uint256 op, uint256 a, uint256 b, uint256 c) private pure returns (uint256) {
        unchecked {
            if (op == FMA) return Float32.fma(a, b, c);
            if (op == MUL) return Float32.mul(a, b);
            // SUB is ADD of -b.
            if (op < MUL) return Float32.add(a, b ^ ((op - ADD) << 31));
            if (op == DIV) return Float32.div(a, b);
            return Float32.sqrt(a);
        }
    }

    /// @dev MIN .. I2F.
    function _float(uint256 op, uint256 a, uint256 b, uint256 c) private pure returns (uint256) {
        if (op < FLT) {
            if (op == MIN) return Float32.min(a, b);
            if (op == MAX) return Float32.max(a, b);
            return op == NEG ? Float32.neg(a) : Float32.abs(a);
        }
        if (op < FSEL) {
            if (op == FLT) return _bit(Float32.lt(a, b));
            return _bit(op == FLE ? Float32.le(a, b) : Float32.eq(a, b));
        }
        if (op == FSEL) return a != 0 ? b : c;
        return op == B2F ? Float32.canonical(a) : Float32.fromInt(a);
    }

    /// @dev IADD .. ISAR.
    function _integer(uint256 op, uint256 a, uint256 b) private pure returns (uint256 result) {
        unchecked {
            if (op < IAND) {
                if (op < IMULHI) {
                    if (op == IADD) return (a + b) & MASK;
                    return op == ISUB ? (a - b) & MASK : (a * b) & MASK;
                }
                if (op == IMULHI) return (a * b) >> 32;
                // The machine's own signed division, as Solidity's reverts on zero: it truncates, x / 0 == 0 and
                // x rem 0 == 0. INT_MIN / -1 is 2**31 in a wide word, and INT_MIN in the low 32 bits.
                bool isQuotient = op == IDIV;
                assembly ("memory-safe") {
                    a := signextend(3, a)
                    b := signextend(3, b)
                    result := smod(a, b)
                    if isQuotient { result := sdiv(a, b) }
                    result := and(result, MASK)
                }
                return result;
            }
            if (op < ISHL) {
                if (op == IAND) return a & b;
                return op == IOR ? a | b : a ^ b;
            }
            b &= 31;
            if (op == ISHL) return (a << b) & MASK;
            if (op == ISHR) return a >> b;
            assembly ("memory-safe") {
                result := and(sar(b, signextend(3, a)), MASK)
            }
        }
    }

    /// @dev ILT .. F2I.
    function _compare(uint256 op, uint256 a, uint256 b, uint256 c) private pure returns (uint256) {
        if (op < ISEL) {
            if (op == IULT) return _bit(a < b);
            if (op == IEQ) return _bit(a == b);
            // Flipping the sign bits makes signed order unsigned.
            bool less = a ^ Float32.SIGN < b ^ Float32.SIGN;
            if (op == ILT) return _bit(less);
            return less == (op == IMIN) ? a : b;
        }
        if (op == ISEL) return a != 0 ? b : c;
        return op == F2B ? a : Float32.toInt(a);
    }

    function _bit(bool condition) private pure returns (uint256 bit) {
        assembly ("memory-safe") {
            bit := condition
        }
    }
}
