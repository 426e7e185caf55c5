"""What is offered for gas, step by step up to the cap and never above."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.fees import GWEI, FeePolicy, Offer

POLICY = FeePolicy(cap=100 * GWEI, urgent_cap=500 * GWEI, tip=GWEI)


def test_first_offer_is_twice_the_base_fee_and_the_tip() -> None:
    assert POLICY.first(7 * GWEI, urgent=False) == Offer(15 * GWEI, GWEI)


@pytest.mark.parametrize(("urgent", "cap"), [(False, 100 * GWEI), (True, 500 * GWEI)])
def test_first_offer_above_the_cap_is_the_cap(urgent: bool, cap: int) -> None:
    assert POLICY.first(900 * GWEI, urgent=urgent) == Offer(cap, GWEI)


def test_first_offer_with_a_cap_below_the_tip_keeps_the_tip_within() -> None:
    assert FeePolicy(cap=10, urgent_cap=10, tip=GWEI).first(0, urgent=False) == Offer(10, 10)


def test_raised_offer_is_fifteen_hundredths_more_in_both_parts() -> None:
    raised = POLICY.raised(Offer(20 * GWEI, 2 * GWEI), 0, urgent=False)
    assert raised == Offer(23 * GWEI, 23 * GWEI // 10)


def test_raised_offer_follows_a_base_fee_that_has_run_away() -> None:
    raised = POLICY.raised(Offer(20 * GWEI, GWEI), 40 * GWEI, urgent=False)
    assert raised == Offer(81 * GWEI, 115 * GWEI // 100)


def test_last_raise_ends_exactly_at_the_cap() -> None:
    assert POLICY.raised(Offer(95 * GWEI, GWEI), 0, urgent=False) == Offer(
        100 * GWEI, 115 * GWEI // 100
    )


def test_offer_at_the_cap_is_not_raised() -> None:
    assert POLICY.raised(Offer(100 * GWEI, GWEI), 900 * GWEI, urgent=False) is None
    assert POLICY.raised(Offer(500 * GWEI, GWEI), 0, urgent=True) is None


@given(
    base_fees=st.lists(st.integers(0, 10**12), min_size=30, max_size=60),
    cap=st.integers(1, 10**12),
    more=st.integers(0, 10**12),
    tip=st.integers(0, 10**10),
    urgent=st.booleans(),
)
def test_offers_rise_until_the_cap_and_never_above(base_fees, cap, more, tip, urgent) -> None:
    policy = FeePolicy(cap, cap + more, tip)
    limit = policy.cap_of(urgent=urgent)
    offer = policy.first(base_fees[0], urgent=urgent)
    for base_fee in base_fees[1:]:
        assert 0 <= offer.tip <= offer.max_fee <= limit
        raised = policy.raised(offer, base_fee, urgent=urgent)
        if raised is None:
            assert offer.max_fee == limit
            return
        assert raised.max_fee > offer.max_fee
        # What nodes ask of a replacement, except for the last step up to the cap.
        assert raised.max_fee == limit or raised.max_fee * 100 >= offer.max_fee * 115
        assert raised.tip == raised.max_fee or raised.tip * 100 >= offer.tip * 115
        offer = raised


@pytest.mark.parametrize(("cap", "urgent_cap"), [(0, 5), (6, 5), (-1, 5)])
def test_policy_whose_caps_contradict_each_other_is_refused(cap: int, urgent_cap: int) -> None:
    with pytest.raises(ValueError, match=f"{cap} wei and the urgent one {urgent_cap}"):
        FeePolicy(cap, urgent_cap)
