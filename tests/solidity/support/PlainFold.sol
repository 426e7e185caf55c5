// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ExactFloat} from "./ExactFloat.sol";
import {FoldAxis, FoldLoad, FoldNode, FoldNodes} from "./FoldNode.sol";

/// @title One term of a fold, by the text of docs/PROTOCOL.md, sections 1 and 2
/// @notice The plain twin of FoldTerm and ScalarProgram: works on the node as a struct, floats by ExactFloat, integers
/// by the language's own 32-bit types.
library PlainFold {
    /// @notice The accumulator after the term, and whether the term was skipped.
    function applyTerm(FoldNode memory n, uint256 element, uint256 term, uint32 previous, uint32[] memory words)
        internal
        pure
        returns (uint32, bool skipped)
    {
        uint32[] memory values = new uint32[](FoldNodes.firstInstruction(n) + n.code.length);
        values[0] = n.dtype == 1 ? canonical(previous) : previous;
        uint32[] memory loaded = loadedWords(n, words);
        uint32[] memory coordinates = coordinatesOf(n, element, term);
        uint256 next = 1;
        for (uint256 i = 0; i < loaded.length; ++i) {
            values[next++] = loaded[i];
        }
        for (uint256 i = 0; i < n.constants.length; ++i) {
            values[next++] = n.constants[i].word;
        }
        for (uint256 i = 0; i < coordinates.length; ++i) {
            values[next++] = coordinates[i];
        }
        if (isSkipped(n, loaded, coordinates)) return (values[0], true);
        for (uint256 i = 0; i < n.code.length; ++i) {
            values[next++] =
                execute(n.code[i].op, values[n.code[i].a], values[n.code[i].b], values[n.code[i].c]);
        }
        return (values[n.result], false);
    }

    function isSkipped(FoldNode memory n, uint32[] memory loaded, uint32[] memory coordinates)
        internal
        pure
        returns (bool)
    {
        for (uint256 i = 0; i < n.guards.length; ++i) {
            if (loaded[n.guards[i].load] != coordinates[n.guards[i].coordinate]) return true;
        }
        for (uint256 k = 0; k < n.loads.length; ++k) {
            (bool inBounds,) = locate(n.loads[k], loaded, coordinates);
            if (n.loads[k].flags == 1 && !inBounds) return true;
        }
        return false;
    }

    /// @notice The words of the loads, NaN canonical where a float is loaded.
    function loadedWords(FoldNode memory n, uint32[] memory words) internal pure returns (uint32[] memory loaded) {
        loaded = new uint32[](words.length);
        for (uint256 k = 0; k < words.length; ++k) {
            loaded[k] = n.operands[n.loads[k].operand].dtype == 1 ? canonical(words[k]) : words[k];
        }
    }

    /// @notice Where a load reads.
    function locate(FoldLoad memory load, uint32[] memory loaded, uint32[] memory coordinates)
        internal
        pure
        returns (bool inBounds, uint256 address_)
    {
        address_ = load.offset;
        for (uint256 i = 0; i < load.axes.length; ++i) {
            FoldAxis memory axis = load.axes[i];
            int256 v = axis.shift;
            for (uint256 k = 0; k < axis.terms.length; ++k) {
                uint256 source = axis.terms[k].source;
                uint32 word = source < 0x80 ? coordinates[source] : loaded[source - 0x80];
                v += int256(axis.terms[k].coef) * int256(int32(word));
            }
            int256 divisor = int256(uint256(axis.divisor));
            int256 c = v / divisor;
            if (c * divisor != v || c < 0 || c >= int256(uint256(axis.size))) return (false, 0);
            address_ += uint256(axis.stride) * uint256(c);
        }
        return (true, address_);
    }

    /// @notice Coordinates of the element, then of the term, both row-major.
    function coordinatesOf(FoldNode memory n, uint256 element, uint256 term)
        internal
        pure
        returns (uint32[] memory coordinates)
    {
        coordinates = new uint32[](n.shape.length + n.domain.length);
        _fill(coordinates, 0, n.shape, element);
        _fill(coordinates, n.shape.length, n.domain, term);
    }

    function canonical(uint32 word) internal pure returns (uint32) {
        return ExactFloat.isNaN(word) ? uint32(ExactFloat.NAN) : word;
    }

    // --- instructions -----------------------------------------------------------------------------------------

    function execute(uint8 op, uint32 a, uint32 b, uint32 c) internal pure returns (uint32) {
        if (op <= 0x08) return uint32(_arithmetic(op, a, b, c));
        if (op <= 0x10) return uint32(_floats(op, a, b, c));
        return op <= 0x2c ? _integers(op, a, b) : _comparisons(op, a, b, c);
    }

    function _arithmetic(uint8 op, uint32 a, uint32 b, uint32 c) private pure returns (uint256) {
        if (op == 0x01) return ExactFloat.add(a, b);
        if (op == 0x02) return ExactFloat.add(a, b ^ 0x80000000);
        if (op == 0x03) return ExactFloat.mul(a, b);
        if (op == 0x04) return ExactFloat.div(a, b);
        if (op == 0x05) return ExactFloat.sqrt(a);
        if (op == 0x06) return ExactFloat.fma(a, b, c);
        return op == 0x07 ? ExactFloat.min(a, b) : ExactFloat.max(a, b);
    }

    function _floats(uint8 op, uint32 a, uint32 b, uint32 c) private pure returns (uint256) {
        if (op == 0x09) return canonical(a ^ 0x80000000);
        if (op == 0x0a) return canonical(a & 0x7fffffff);
        if (op == 0x0b) return ExactFloat.lt(a, b) ? 1 : 0;
        if (op == 0x0c) return ExactFloat.lt(a, b) || ExactFloat.eq(a, b) ? 1 : 0;
        if (op == 0x0d) return ExactFloat.eq(a, b) ? 1 : 0;
        if (op == 0x0e) return a == 0 ? c : b;
        return op == 0x0f ? canonical(a) : ExactFloat.fromInt(int32(a));
    }

    function _integers(uint8 op, uint32 a, uint32 b) private pure returns (uint32) {
        unchecked {
            if (op == 0x21) return a + b;
            if (op == 0x22) return a - b;
            if (op == 0x23) return a * b;
            if (op == 0x24) return uint32(uint64(a) * uint64(b) / 2 ** 32);
            if (op == 0x25 || op == 0x26) return _divide(op == 0x25, int32(a), int32(b));
            if (op == 0x27) return a & b;
            if (op == 0x28) return a | b;
            if (op == 0x29) return a ^ b;
            if (op == 0x2a) return a << (b % 32);
            return op == 0x2b ? a >> (b % 32) : uint32(int32(a) >> (b % 32));
        }
    }

    function _comparisons(uint8 op, uint32 a, uint32 b, uint32 c) private pure returns (uint32) {
        if (op == 0x2d) return int32(a) < int32(b) ? 1 : 0;
        if (op == 0x2e) return a < b ? 1 : 0;
        if (op == 0x2f) return a == b ? 1 : 0;
        if (op == 0x30) return int32(a) < int32(b) ? a : b;
        if (op == 0x31) return int32(a) < int32(b) ? b : a;
        if (op == 0x32) return a == 0 ? c : b;
        return op == 0x33 ? a : uint32(ExactFloat.toInt(a));
    }

    function _divide(bool quotient, int32 a, int32 b) private pure returns (uint32) {
        if (b == 0) return 0;
        if (a == type(int32).min && b == -1) return quotient ? uint32(a) : 0;
        return uint32(quotient ? a / b : a % b);
    }

    /// @dev Row-major: the last coordinate runs fastest.
    function _fill(uint32[] memory coordinates, uint256 from, uint32[] memory shape, uint256 index) private pure {
        for (uint256 i = shape.length; i > 0; --i) {
            coordinates[from + i - 1] = uint32(index % shape[i - 1]);
            index /= shape[i - 1];
        }
    }
}
