// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {console} from "hardhat/console.sol";

import {Test} from "../support/Test.sol";
import {Campaign} from "./Campaign.sol";

/// @title The invariants I1 to I12 under a campaign of random moves, which are counted
/// @notice CAMPAIGN_STEPS chooses its length. A campaign in which some kind of move was hardly ever accepted proves
/// nothing about that kind, and fails.
contract CampaignTest is Test {
    Campaign private _campaign;

    function setUp() public {
        _campaign = new Campaign();
    }

    function test_campaign_ofRandomMoves_keepsEveryInvariant() public {
        uint256 steps = vm.envOr("CAMPAIGN_STEPS", uint256(2_000));
        for (uint256 i = 0; i < steps; ++i) {
            _campaign.step(i);
        }
        _campaign.end();
        for (uint256 i = 0; i < _campaign.acceptedKindCount(); ++i) {
            string memory move = _campaign.acceptedKinds(i);
            console.log("accepted %s %s", move, _campaign.accepted(move));
        }
        for (uint256 i = 0; i < _campaign.refusedKindCount(); ++i) {
            string memory move = _campaign.refusedKinds(i);
            console.log("refused %s %s", move, _campaign.refused(move));
        }
        console.log("steps %s, dearest judgement %s gas", _campaign.steps(), _campaign.dearestJudgement());
    }
}
