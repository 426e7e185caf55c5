// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The judge of one fold term
/// @notice Pure functions over the canonical bytes of nodes and bindings. Every function reverts
/// with `MalformedNode` or `MalformedBinding` on bytes that are not canonical and returns a value
/// for every element, term and word of a node that validation accepts.
interface IJudge {
    /// @notice What the dispute keeps of a node.
    /// @param dtype 1 f32, 2 i32, 3 u8: the stored type of the output.
    /// @param width Bytes of one stored element: 4 or 1.
    /// @param numel Elements of the output, at least 1.
    /// @param terms Terms of the fold of one element, at least 1.
    /// @param loads Loads per term, 0..16.
    /// @param init The accumulator before the first term.
    struct NodeFacts {
        uint8 dtype;
        uint8 width;
        uint64 numel;
        uint64 terms;
        uint8 loads;
        uint32 init;
    }

    /// @notice Where the word of one load comes from.
    /// @param inBounds False: the word is `fill` and the other members but `fill` mean nothing.
    /// @param kind Operand: 0 node, 1 state tensor, 2 data tensor.
    /// @param index The operand's index among its kind.
    /// @param dtype The operand's stored type.
    /// @param numel The operand's elements.
    /// @param address_ Flat row-major element, less than `numel`.
    struct Located {
        bool inBounds;
        uint32 fill;
        uint8 kind;
        uint32 index;
        uint8 dtype;
        uint64 numel;
        uint64 address_;
    }

    /// @notice The bytes are not the canonical encoding of a node, or the node cannot be judged: a number
    /// out of its range, a value used before it is defined, an address outside its operand.
    /// @param offset Where the fault was met (behind the end if bytes are missing), or the length of the bytes.
    error MalformedNode(uint256 offset);
    /// @notice The bytes are not the canonical encoding of a state binding.
    error MalformedBinding(uint256 offset);
    /// @notice There are `numel` elements.
    error ElementOutside(uint256 element, uint256 numel);
    /// @notice Each element's fold has `terms` terms.
    error TermOutside(uint256 term, uint256 terms);
    /// @notice The node has `loads` loads.
    error LoadOutside(uint256 load, uint256 loads);
    /// @notice A term has one word per load.
    error WordCount(uint256 expected, uint256 got);

    /// @notice Decodes the whole node and returns what the dispute needs of it.
    function facts(bytes calldata node) external pure returns (NodeFacts memory);

    /// @notice One term: the accumulator after `term` of `element`, given the accumulator before
    /// it and the words of its loads.
    /// @param previous The accumulator before the term; the caller passes `init` for term 0.
    function arithmetic(
        bytes calldata node,
        uint64 element,
        uint64 term,
        uint32 previous,
        uint32[] calldata words
    ) external pure returns (uint32 accumulator);

    /// @notice Where load `load` of `term` of `element` reads, given the words of the earlier loads.
    function locate(
        bytes calldata node,
        uint64 element,
        uint64 term,
        uint8 load,
        uint32[] calldata words
    ) external pure returns (Located memory);

    /// @notice Decodes a state binding.
    /// @return kind Source: 0 node, 1 state tensor.
    /// @return index The source's index among its kind.
    function binding(
        bytes calldata b
    ) external pure returns (uint8 kind, uint32 index, uint8 dtype, uint64 numel);
}
