// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../interfaces/IJudge.sol";
import {Float32} from "./Float32.sol";
import {NodeCodec} from "./NodeCodec.sol";

/// @title The body of a fold: a straight-line scalar program on 32-bit words.
/// @notice Every instruction is total. The meaning of each opcode is the table of docs/PROTOCOL.md, section 1; the
/// twins are `protocol/program/isa.py` and `protocol/kernels/reference/evaluator.py`.
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
                uint256 word = NodeCodec.word(pos);
                bool runs;
                assembly ("memory-safe") {
                    let known := shr(byte(0, word), KNOWN)
                    let argumentsDefined := and(lt(byte(1, word), defined), lt(byte(2, word), defined))
                    runs := and(and(known, lt(byte(3, word), defined)), argumentsDefined)
                }
                if (!runs) revert IJudge.MalformedNode(pos - node.start);
                ++defined;
            }
        }
    }

    /// @notice Runs a body; reverts where `check` would.
    /// @param values Accumulator, words of the loads, constants, coordinates, and room for one word per instruction.
    function run(NodeCodec.Node memory node, uint256[] memory values) internal pure {
        unchecked {
            uint256 pos = node.instructionsAt;
            uint256 first;
            assembly ("memory-safe") {
                first := add(values, 32)
            }
            uint256 end = first + 32 * values.length;
            for (uint256 slot = end - 32 * node.instructions; slot != end; slot += 32) {
                uint256 op;
                uint256 a;
                uint256 b;
                uint256 c;
                bool runs;
                assembly ("memory-safe") {
                    // Indices times 32 are offsets in memory; those of defined values lie before the own slot.
                    let word := calldataload(pos)
                    let defined := sub(slot, first)
                    op := byte(0, word)
                    a := and(shr(235, word), 0x1fe0)
                    b := and(shr(227, word), 0x1fe0)
                    c := and(shr(219, word), 0x1fe0)
                    runs := and(and(lt(a, defined), lt(b, defined)), and(lt(c, defined), shr(op, KNOWN)))
                    a := mload(add(first, a))
                    b := mload(add(first, b))
                    c := mload(add(first, c))
                }
                if (!runs) revert IJudge.MalformedNode(pos - node.start);
                uint256 result;
                if (op < IADD) result = op < MIN ? _arithmetic(op, a, b, c) : _float(op, a, b, c);
                else result = op < ILT ? _integer(op, a, b) : _compare(op, a, b, c);
                assembly ("memory-safe") {
                    mstore(slot, result)
                }
                pos += 4;
            }
        }
    }

    // The four functions below assign and never return early: the compiler inlines only such functions.

    /// @dev ADD .. FMA.
    function _arithmetic(uint256 op, uint256 a, uint256 b, uint256 c) private pure returns (uint256 result) {
        unchecked {
            if (op == FMA) result = Float32.fma(a, b, c);
            else if (op == MUL) result = Float32.mul(a, b);
            // SUB is ADD of -b.
            else if (op < MUL) result = Float32.add(a, b ^ ((op - ADD) << 31));
            else if (op == DIV) result = Float32.div(a, b);
            else result = Float32.sqrt(a);
        }
    }

    /// @dev MIN .. I2F.
    function _float(uint256 op, uint256 a, uint256 b, uint256 c) private pure returns (uint256 result) {
        if (op < FLT) {
            if (op == MIN) result = Float32.min(a, b);
            else if (op == MAX) result = Float32.max(a, b);
            else result = op == NEG ? Float32.neg(a) : Float32.abs(a);
        } else if (op < FSEL) {
            if (op == FLT) result = _bit(Float32.lt(a, b));
            else result = _bit(op == FLE ? Float32.le(a, b) : Float32.eq(a, b));
        } else {
            if (op == FSEL) result = a != 0 ? b : c;
            else result = op == B2F ? Float32.canonical(a) : Float32.fromInt(a);
        }
    }

    /// @dev IADD .. ISAR.
    function _integer(uint256 op, uint256 a, uint256 b) private pure returns (uint256 result) {
        unchecked {
            if (op < IMULHI) {
                if (op == IADD) result = a + b;
                else result = op == ISUB ? a - b : a * b;
            } else if (op < IAND) {
                if (op == IMULHI) result = (a * b) >> 32;
                else result = _divide(op == IDIV, a, b);
            } else if (op < ISHL) {
                if (op == IAND) result = a & b;
                else result = op == IOR ? a | b : a ^ b;
            } else {
                b &= 31;
                if (op == ISHL) result = a << b;
                else result = op == ISHR ? a >> b : uint256(_signed(a) >> b);
            }
            result &= MASK;
        }
    }

    /// @dev ILT .. F2I.
    function _compare(uint256 op, uint256 a, uint256 b, uint256 c) private pure returns (uint256 result) {
        if (op < IMIN) {
            if (op == ILT) result = _bit(_signed(a) < _signed(b));
            else result = _bit(op == IULT ? a < b : a == b);
        } else if (op < ISEL) {
            result = (_signed(a) < _signed(b)) == (op == IMIN) ? a : b;
        } else {
            if (op == ISEL) result = a != 0 ? b : c;
            else result = op == F2B ? a : Float32.toInt(a);
        }
    }

    /// @dev The machine's own signed division, as Solidity's reverts on zero: it truncates, x / 0 == 0 and
    /// x rem 0 == 0. INT_MIN / -1 is 2**31 in a wide word, INT_MIN in the low 32 bits.
    function _divide(bool quotient, uint256 a, uint256 b) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            a := signextend(3, a)
            b := signextend(3, b)
            result := smod(a, b)
            if quotient { result := sdiv(a, b) }
        }
    }

    function _signed(uint256 a) private pure returns (int256 value) {
        assembly ("memory-safe") {
            value := signextend(3, a)
        }
    }

    function _bit(bool condition) private pure returns (uint256 bit) {
        assembly ("memory-safe") {
            bit := condition
        }
    }
}
