// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What a solver must stake and a challenger must lock
/// @notice A cheater falsifies n of G segments, saves n * c and gains B if undetected. Detection:
///     d(n) = 1 - (1 - q) * [1 - h * (1 - miss(n))]^v,   miss(1) = (G - k) / G,   miss(G) = 0
///     S >= max(Pmax, F(1), F(G)),   F(n) = [(n * c + (1 - d(n)) * B) / d(n) - Pmax] / (1 - chi)
/// The maximum over n lies at n = 1 or n = G, so two terms suffice.
/// @dev Shares are wads (1e18 = 1), money is token wei. d is rounded down and money up, so a rounding error
/// only ever raises the stake. `protocol/chain/stake.py` is the same integer arithmetic. Overflow: with money
/// below 2^128 and G below 2^32 the largest intermediate value is below 2^251; all arithmetic is checked.
library StakeFormula {
    uint256 internal constant WAD = 1e18;

    /// @notice Neither verifiers nor open challengers would find a false segment: no finite stake deters.
    error NoDetection(uint256 verifiers, uint256 segmentsPerVerifier, uint256 honestWad, uint256 openCheckWad);

    struct Sampling {
        uint256 segments; // G >= 1
        uint256 perVerifier; // k <= G
        uint256 verifiers; // v, as many as can be drawn
        uint256 honestWad; // h
        uint256 openCheckWad; // q
    }

    struct BondRates {
        uint256 gasCover; // token wei: the solver's worst gas at the price cap
        uint256 hashingWad; // eta
        uint256 traceWad; // cost of tracing a step / cost of a segment
        uint256 clockMissWad; // pi
        uint256 rewardWad; // chi + rho
    }

    /// @notice The solver's stake S.
    /// @param segmentCost c, what one segment costs to compute.
    /// @param valueAtRisk B.
    /// @param maxReward Pmax.
    /// @param challengerWad chi.
    function requiredStake(
        Sampling memory sampling,
        uint256 segmentCost,
        uint256 valueAtRisk,
        uint256 maxReward,
        uint256 challengerWad
    ) internal pure returns (uint256 stake) {
        (uint256 one, uint256 all) = escapes(sampling);
        stake = maxReward;
        uint256 needed = _deterring(sampling, one, segmentCost, valueAtRisk, maxReward, challengerWad);
        if (needed > stake) stake = needed;
        uint256 totalCost = segmentCost * sampling.segments;
        needed = _deterring(sampling, all, totalCost, valueAtRisk, maxReward, challengerWad);
        if (needed > stake) stake = needed;
    }

    /// @notice 1 - d(1) and 1 - d(G), rounded up.
    function escapes(Sampling memory s) internal pure returns (uint256 one, uint256 all) {
        one = _escape(s, s.honestWad * s.perVerifier / s.segments);
        all = _escape(s, s.perVerifier == 0 ? 0 : s.honestWad);
    }

    /// @notice The challenger's bond: twice the solver's cost of one dispute, and enough that false challenges
    /// hoping for a missed clock do not pay.
    function bond(uint256 segmentCost, uint256 stake, BondRates memory rates) internal pure returns (uint256) {
        uint256 cost = rates.gasCover + ceilDiv(segmentCost * (WAD + rates.hashingWad), WAD)
            + ceilDiv(segmentCost * rates.traceWad, WAD);
        uint256 prize = ceilDiv(stake * rates.rewardWad, WAD);
        uint256 gamble = ceilDiv(prize * rates.clockMissWad, WAD - rates.clockMissWad);
        return 2 * cost > gamble ? 2 * cost : gamble;
    }

    function ceilDiv(uint256 a, uint256 b) internal pure returns (uint256) {
        return (a + b - 1) / b;
    }

    /// @dev F(n) for n * c = `saved`, floored at 0.
    function _deterring(
        Sampling memory s,
        uint256 escape,
        uint256 saved,
        uint256 valueAtRisk,
        uint256 maxReward,
        uint256 challengerWad
    ) private pure returns (uint256) {
        uint256 detection = WAD - escape;
        if (detection == 0) revert NoDetection(s.verifiers, s.perVerifier, s.honestWad, s.openCheckWad);
        uint256 gain = ceilDiv(saved * WAD + escape * valueAtRisk, detection);
        if (gain <= maxReward) return 0;
        return ceilDiv((gain - maxReward) * WAD, WAD - challengerWad);
    }

    /// @dev (1 - q) * (1 - hit)^v, rounded up; v is at most 16.
    function _escape(Sampling memory s, uint256 hit) private pure returns (uint256 escape) {
        escape = WAD - s.openCheckWad;
        for (uint256 i = 0; i < s.verifiers; ++i) {
            escape = ceilDiv(escape * (WAD - hit), WAD);
        }
    }
}
