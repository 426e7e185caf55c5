// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StakeFormula} from "../libraries/StakeFormula.sol";

/// @title Shows StakeFormula to tests, many parameter sets a call
contract StakeFormulaHarness {
    struct Case {
        StakeFormula.Sampling sampling;
        StakeFormula.BondRates rates;
        uint256 segmentCost;
        uint256 valueAtRisk;
        uint256 maxReward;
        uint256 challengerWad;
    }

    function evaluate(Case[] calldata cases)
        external
        pure
        returns (uint256[] memory stakes, uint256[] memory bonds)
    {
        stakes = new uint256[](cases.length);
        bonds = new uint256[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Case memory c = cases[i];
            stakes[i] = StakeFormula.requiredStake(
                c.sampling, c.segmentCost, c.valueAtRisk, c.maxReward, c.challengerWad
            );
            bonds[i] = StakeFormula.bond(c.segmentCost, stakes[i], c.rates);
        }
    }

    function escapes(StakeFormula.Sampling calldata sampling) external pure returns (uint256 one, uint256 all) {
        return StakeFormula.escapes(sampling);
    }
}
