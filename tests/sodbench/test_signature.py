"""Signatures and policies: values that read back from their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sodbench.errors import SodbenchError
from sodbench.results import AppliedPolicy, Policy, Signature

WORDS = st.text(min_size=1)


@given(
    st.builds(
        Signature,
        protocol=WORDS,
        n=st.integers(0, 10**6),
        missing=WORDS,
        resize=WORDS,
        gt=WORDS,
        undefined=st.text(),
        subset=st.text(),
        shard=st.sampled_from(["", "1/8"]),
        version=WORDS,
    )
)
def test_a_signature_reads_back_from_its_line(signature):
    assert Signature.parse(str(signature)) == signature


def test_the_line_of_a_signature_names_only_what_there_is():
    short = Signature("pysodmetrics", 300, version="0.1.0")
    assert str(short) == (
        "sodbench:0.1.0|protocol:pysodmetrics|n:300|missing:error|resize:none|gt:>128"
    )
    long = Signature(
        "matlab", 3, "skip(2)", "bilinear(1)", ">25", "keep(1)", "test", "1/8", version="2"
    )
    assert str(long) == (
        "sodbench:2|protocol:matlab|subset:test|shard:1/8|n:3|missing:skip(2)|resize:bilinear(1)"
        "|gt:>25|undefined:keep(1)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "protocol:matlab",
        "sodbench:1|protocol:matlab|n:three|missing:error|resize:none|gt:>128",
        "sodbench:1|protocol:matlab|n:-3|missing:error|resize:none|gt:>128",
        "sodbench:1|protocol:matlab|n:3|missing:error|resize:none|gt:>128|colour:red",
        "protocol:matlab|sodbench:1|n:3|missing:error|resize:none|gt:>128",
    ],
)
def test_text_that_is_no_signature_is_refused(text):
    with pytest.raises(SodbenchError, match="is not the signature of a result"):
        Signature.parse(text)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"missing": "skp"}, "missing is 'skp', but must be one of error, skip, zero"),
        ({"resize": "none"}, "resize is 'none', but must be one of error, bilinear, nearest"),
        ({"undefined": "zero"}, "undefined is 'zero', but must be one of None, keep, skip"),
        ({"shard": (3, 2)}, "shard 3/2: I must be between 1 and N"),
    ],
)
def test_a_policy_with_an_unknown_choice_is_refused(choice, message):
    with pytest.raises(SodbenchError, match=message):
        Policy(**choice)


@pytest.mark.parametrize("policy", [Policy(), Policy("zero", "nearest", "keep", False, (2, 8))])
def test_an_applied_policy_reads_back_from_its_plain_values(policy):
    applied = policy.applied(n_missing=1, n_resized=2, n_divided=9 if policy.shard else None)
    assert AppliedPolicy.from_dict(applied.as_dict()) == applied
    assert applied.as_dict()["shard"] == ("2/8" if policy.shard else None)
