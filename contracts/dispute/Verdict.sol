// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ChessClock} from "../libraries/ChessClock.sol";
import {DisputeBase} from "./DisputeBase.sol";
import {Turns} from "./libraries/Turns.sol";

/// @title The end of a dispute: its bond, the conviction, the beneficiary
/// @notice Costs the same however many disputes a claim has (P09), and happens once.
abstract contract Verdict is DisputeBase {
    using ChessClock for ChessClock.Clock;

    /// @dev A drawn verifier of the segment has precedence as beneficiary, unless its dispute is
    /// over or its clock has run out.
    function _claimPrecedence(bytes32 id, Record storage d) internal {
        if (_canStillWin(_drawn[d.claimId][d.segment])) return;
        if (!claims.isDrawn(d.claimId, d.segment, d.opener)) return;
        _drawn[d.claimId][d.segment] = id;
    }

    function _canStillWin(bytes32 id) private view returns (bool) {
        Record storage d = _records[id];
        Side side = Turns.sideOf(d.state);
        if (side == Side.NONE) return false;
        if (side == Side.SOLVER) return true;
        return block.timestamp < d.clock.deadline(false, _graceSeconds);
    }

    /// @dev State first, then the calls to the deployment's own contracts, which call nobody.
    function _conclude(bytes32 id, Record storage d, bool solverWon) internal {
        bytes32 claimId = d.claimId;
        address beneficiary;
        if (!solverWon) {
            bytes32 drawn = _drawn[claimId][d.segment];
            beneficiary = _canStillWin(drawn) ? _records[drawn].opener : d.opener;
        }
        d.state = solverWon ? DisputeState.SOLVER_WON : DisputeState.CHALLENGER_WON;
        d.turn += 1;
        emit DisputeClosed(id, claimId, d.state, beneficiary);
        if (solverWon) {
            uint256 cover = (d.bond * _coverShare) / ONE;
            _pay(_pot(d.opener, id), _known[claimId].solver, cover);
            _burn(_pot(d.opener, id), d.bond - cover);
        } else {
            _pay(_pot(d.opener, id), d.opener, d.bond);
            claims.convict(claimId, beneficiary);
        }
        claims.disputeClosed(claimId);
    }

    /// @dev The claim fell by another dispute: nobody lost this one (P25).
    function _refund(bytes32 id, Record storage d) internal {
        bytes32 claimId = d.claimId;
        d.state = DisputeState.REFUNDED;
        d.turn += 1;
        emit DisputeClosed(id, claimId, DisputeState.REFUNDED, address(0));
        _pay(_pot(d.opener, id), d.opener, d.bond);
        claims.disputeClosed(claimId);
    }

    /// @dev The vault refuses moves of nothing.
    function _pay(bytes32 pot, address to, uint256 amount) internal {
        if (amount > 0) vault.release(pot, to, amount);
    }

    function _burn(bytes32 pot, uint256 amount) internal {
        if (amount > 0) vault.burn(pot, amount);
    }

    /// @dev The bond's pot in the vault, from the commitment on.
    function _pot(address opener, bytes32 commitment) internal pure returns (bytes32) {
        return keccak256(abi.encode(opener, commitment));
    }
}
