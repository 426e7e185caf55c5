// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../interfaces/IJudge.sol";
import {Float32} from "./Float32.sol";
import {NodeCodec} from "./NodeCodec.sol";
import {ScalarProgram} from "./ScalarProgram.sol";

/// @title One term of a fold: its arithmetic, and where its loads read.
/// @notice The meaning is docs/PROTOCOL.md, section 2; the twin is `protocol/kernels/reference/evaluator.py`.
/// @dev `values` is the value space of the body (`NodeCodec.firstCoordinate`). `unchecked`: coordinates and sizes are
/// below 2**32, coefficients below 2**31 in magnitude, so that no sum comes near 2**255.
library FoldTerm {
    /// @notice The accumulator after a term.
    /// @param previous The accumulator before it.
    /// @param words The words of its loads, as claimed: any words are taken.
    function apply_(
        NodeCodec.Node memory node,
        uint256 element,
        uint256 term,
        uint256 previous,
        uint32[] calldata words
    ) internal pure returns (uint256) {
        uint256[] memory values = _values(node, node.instructions, element, term, words);
        values[0] = node.dtype == NodeCodec.F32 ? Float32.canonical(previous) : previous;
        if (_isSkipped(node, values)) return values[0];
        _constants(node, values);
        ScalarProgram.run(node, values);
        return values[node.result];
    }

    /// @notice Where a load reads.
    /// @param words The words of the term's loads; those of the earlier ones count.
    function locate(
        NodeCodec.Node memory node,
        uint256 element,
        uint256 term,
        uint256 load,
        uint32[] calldata words
    ) internal pure returns (IJudge.Located memory located) {
        if (load >= node.loadsAt.length) revert IJudge.LoadOutside(load, node.loadsAt.length);
        uint256 head = NodeCodec.word(node.loadsAt[load]);
        located.fill = uint32(head >> 208);
        (bool inBounds, uint256 address_) = _address(node, _values(node, 0, element, term, words), load);
        if (!inBounds) return located;
        NodeCodec.Operand memory operand = node.operands[head >> 248];
        located.inBounds = true;
        // All of these were read from as few bytes or compared with their cap by the codec.
        located.kind = uint8(operand.kind);
        located.index = uint32(operand.index);
        located.dtype = uint8(operand.dtype);
        located.numel = uint64(operand.numel);
        located.address_ = uint64(address_);
    }

    /// @dev The value space up to the coordinates, constants still zero, with room for `extra` values more.
    function _values(
        NodeCodec.Node memory node,
        uint256 extra,
        uint256 element,
        uint256 term,
        uint32[] calldata words
    ) private pure returns (uint256[] memory values) {
        if (element >= node.numel) revert IJudge.ElementOutside(element, node.numel);
        if (term >= node.terms) revert IJudge.TermOutside(term, node.terms);
        uint256 loads = node.loadsAt.length;
        if (words.length != loads) revert IJudge.WordCount(loads, words.length);
        unchecked {
            uint256 end = NodeCodec.firstInstruction(node);
            values = new uint256[](end + extra);
            for (uint256 k; k < loads; ++k) {
                uint256 slot = NodeCodec.word(node.loadsAt[k]) >> 248;
                bool isFloat = node.operands[slot].dtype == NodeCodec.F32;
                values[k + 1] = isFloat ? Float32.canonical(words[k]) : words[k];
            }
            _unravel(values, end, node.domainAt, node.domainRank, term);
            _unravel(values, end - node.domainRank, node.shapeAt, node.rank, element);
        }
    }

    /// @dev Row-major coordinates of a flat index, written before `end`.
    function _unravel(uint256[] memory values, uint256 end, uint256 dimsAt, uint256 rank, uint256 index) private pure {
        unchecked {
            for (uint256 pos = dimsAt + 4 * rank; pos != dimsAt;) {
                pos -= 4;
                uint256 size = NodeCodec.word(pos) >> 224;
                values[--end] = index % size;
                index /= size;
            }
        }
    }

    function _constants(NodeCodec.Node memory node, uint256[] memory values) private pure {
        unchecked {
            uint256 next = 1 + node.loadsAt.length;
            uint256 pos = node.constantsAt;
            for (uint256 end = pos + 5 * node.constants; pos != end; pos += 5) {
                values[next++] = (NodeCodec.word(pos) >> 216) & 0xffffffff;
            }
        }
    }

    /// @dev Whether a guard fails or a load marked `skip` is out of bounds.
    function _isSkipped(NodeCodec.Node memory node, uint256[] memory values) private pure returns (bool) {
        unchecked {
            uint256 outputs = NodeCodec.firstCoordinate(node);
            uint256 pos = node.guardsAt;
            for (uint256 end = pos + 2 * node.guards; pos != end; pos += 2) {
                uint256 guard = NodeCodec.word(pos) >> 240;
                if (values[1 + (guard >> 8)] != values[outputs + (guard & 0xff)]) return true;
            }
            for (uint256 k; k < node.loadsAt.length; ++k) {
                if ((NodeCodec.word(node.loadsAt[k]) >> 240) & 1 == 0) continue;
                (bool inBounds,) = _address(node, values, k);
                if (!inBounds) return true;
            }
            return false;
        }
    }

    /// @return inBounds Whether the load reads an element
    /// @return address_ Its row-major number
    function _address(NodeCodec.Node memory node, uint256[] memory values, uint256 load)
        private
        pure
        returns (bool inBounds, uint256 address_)
    {
        unchecked {
            uint256 coordinates = NodeCodec.firstCoordinate(node);
            uint256 pos = node.loadsAt[load];
            uint256 head = NodeCodec.word(pos);
            address_ = (head >> 144) & 0xffffffffffffffff;
            pos += 15;
            for (uint256 axes = (head >> 136) & 0xff; axes != 0; --axes) {
                uint256 axis = NodeCodec.word(pos);
                pos += 25;
                // Truncating the 256-bit word to its last eight bytes is the i64 of `const`.
                int256 scaled = int64(uint64(axis >> 64));
                for (uint256 end = pos + 5 * ((axis >> 56) & 0xff); pos != end; pos += 5) {
                    scaled += _product(values, coordinates, NodeCodec.word(pos));
                }
                int256 divisor = int256((axis >> 128) & 0xffffffff);
                if (scaled % divisor != 0) return (false, 0);
                // A negative coordinate is a huge unsigned one.
                uint256 coordinate = uint256(scaled / divisor);
                if (coordinate >= axis >> 224) return (false, 0);
                address_ += ((axis >> 160) & 0xffffffffffffffff) * coordinate;
            }
            return (true, address_);
        }
    }

    /// @dev coef * source of an axis term: source in the first byte, coef in the next four.
    function _product(uint256[] memory values, uint256 coordinates, uint256 term) private pure returns (int256) {
        unchecked {
            uint256 source = term >> 248;
            bool isWord = source >= NodeCodec.LOADED_WORD;
            // A loaded word is an i32; a coordinate is below 2**31, where both readings agree.
            uint256 value = values[isWord ? 1 + source - NodeCodec.LOADED_WORD : coordinates + source];
            return int256(int32(uint32(term >> 216))) * int32(uint32(value));
        }
    }
}
