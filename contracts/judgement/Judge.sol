// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJudge} from "../interfaces/IJudge.sol";
import {FoldTerm} from "../libraries/FoldTerm.sol";
import {NodeCodec} from "../libraries/NodeCodec.sol";
import {ScalarProgram} from "../libraries/ScalarProgram.sol";

/// @title The judge of one fold term
/// @dev A node whose `facts` do not revert makes no other function revert, for all elements, terms and words in range.
contract Judge is IJudge {
    /// @inheritdoc IJudge
    function facts(bytes calldata node) external pure returns (NodeFacts memory) {
        NodeCodec.Node memory decoded = NodeCodec.decode(node);
        ScalarProgram.check(decoded);
        // The codec has compared every number with a cap that fits these types.
        return NodeFacts({
            dtype: uint8(decoded.dtype),
            width: decoded.dtype == NodeCodec.U8 ? 1 : 4,
            numel: uint64(decoded.numel),
            terms: uint64(decoded.terms),
            loads: uint8(decoded.loadsAt.length),
            init: uint32(decoded.init)
        });
    }

    /// @inheritdoc IJudge
    function arithmetic(
        bytes calldata node,
        uint64 element,
        uint64 term,
        uint32 previous,
        uint32[] calldata words
    ) external pure returns (uint32 accumulator) {
        // Every value of a body is a 32-bit word.
        return uint32(FoldTerm.apply_(NodeCodec.decode(node), element, term, previous, words));
    }

    /// @inheritdoc IJudge
    function locate(
        bytes calldata node,
        uint64 element,
        uint64 term,
        uint8 load,
        uint32[] calldata words
    ) external pure returns (Located memory) {
        return FoldTerm.locate(NodeCodec.decode(node), element, term, load, words);
    }

    /// @inheritdoc IJudge
    function binding(bytes calldata b) external pure returns (uint8 kind, uint32 index, uint8 dtype, uint64 numel) {
        (uint256 kind_, uint256 index_, uint256 dtype_, uint256 numel_) = NodeCodec.decodeBinding(b);
        return (uint8(kind_), uint32(index_), uint8(dtype_), uint64(numel_));
    }
}
