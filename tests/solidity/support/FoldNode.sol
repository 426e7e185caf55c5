// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A node of a fold program as docs/PROTOCOL.md describes it (sections 2 and 3), not as bytes.
struct FoldNode {
    uint8 dtype;
    uint32[] shape;
    uint32[] domain;
    uint32 init;
    FoldOperand[] operands;
    FoldLoad[] loads;
    FoldGuard[] guards;
    FoldConstant[] constants;
    FoldInstruction[] code;
    uint8 result;
}

struct FoldOperand {
    uint8 kind;
    uint32 index;
    uint8 dtype;
    uint32[] shape;
}

struct FoldLoad {
    uint8 operand;
    uint8 flags; // bit 0: skip
    uint32 fill;
    uint64 offset;
    FoldAxis[] axes;
}

struct FoldAxis {
    uint32 size;
    uint64 stride;
    uint32 divisor;
    int64 shift;
    FoldAxisTerm[] terms;
}

struct FoldAxisTerm {
    uint8 source;
    int32 coef;
}

struct FoldGuard {
    uint8 load;
    uint8 coordinate;
}

struct FoldConstant {
    uint8 kind;
    uint32 word;
}

struct FoldInstruction {
    uint8 op;
    uint8 a;
    uint8 b;
    uint8 c;
}

/// @title The canonical bytes of a node
library FoldNodes {
    function encode(FoldNode memory n) internal pure returns (bytes memory out) {
        out = bytes.concat(abi.encodePacked(uint8(1), n.dtype), _shape(n.shape), _shape(n.domain));
        out = bytes.concat(out, abi.encodePacked(n.init), _operands(n.operands), _loads(n.loads));
        out = bytes.concat(out, _guards(n.guards), _constants(n.constants), _code(n.code), abi.encodePacked(n.result));
    }

    function numel(uint32[] memory shape) internal pure returns (uint256 product) {
        product = 1;
        for (uint256 i = 0; i < shape.length; ++i) {
            product *= shape[i];
        }
    }

    /// @notice The value index of the first coordinate.
    function firstCoordinate(FoldNode memory n) internal pure returns (uint256) {
        return 1 + n.loads.length + n.constants.length;
    }

    /// @notice The value index of the first instruction.
    function firstInstruction(FoldNode memory n) internal pure returns (uint256) {
        return firstCoordinate(n) + n.shape.length + n.domain.length;
    }

    function _shape(uint32[] memory shape) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(shape.length));
        for (uint256 i = 0; i < shape.length; ++i) {
            out = abi.encodePacked(out, shape[i]);
        }
    }

    function _operands(FoldOperand[] memory operands) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(operands.length));
        for (uint256 i = 0; i < operands.length; ++i) {
            FoldOperand memory o = operands[i];
            out = bytes.concat(out, abi.encodePacked(o.kind, o.index, o.dtype), _shape(o.shape));
        }
    }

    function _loads(FoldLoad[] memory loads) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(loads.length));
        for (uint256 i = 0; i < loads.length; ++i) {
            FoldLoad memory l = loads[i];
            out = abi.encodePacked(out, l.operand, l.flags, l.fill, l.offset, uint8(l.axes.length));
            for (uint256 k = 0; k < l.axes.length; ++k) {
                out = bytes.concat(out, _axis(l.axes[k]));
            }
        }
    }

    function _axis(FoldAxis memory a) private pure returns (bytes memory out) {
        out = abi.encodePacked(a.size, a.stride, a.divisor, a.shift, uint8(a.terms.length));
        for (uint256 i = 0; i < a.terms.length; ++i) {
            out = abi.encodePacked(out, a.terms[i].source, a.terms[i].coef);
        }
    }

    function _guards(FoldGuard[] memory guards) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(guards.length));
        for (uint256 i = 0; i < guards.length; ++i) {
            out = abi.encodePacked(out, guards[i].load, guards[i].coordinate);
        }
    }

    function _constants(FoldConstant[] memory constants) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(constants.length));
        for (uint256 i = 0; i < constants.length; ++i) {
            out = abi.encodePacked(out, constants[i].kind, constants[i].word);
        }
    }

    function _code(FoldInstruction[] memory code) private pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(code.length));
        for (uint256 i = 0; i < code.length; ++i) {
            out = abi.encodePacked(out, code[i].op, code[i].a, code[i].b, code[i].c);
        }
    }
}
