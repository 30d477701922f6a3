"""What names look like that are looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.name_signal import signal_of


@pytest.mark.parametrize(
    "name",
    ["api.example", "packages.vendor.example", "my-long-service-name.eu-west-1.cloud.example", "?"],
)
def test_names_that_people_make_are_not_suspicious(name: str) -> None:
    assert not signal_of(name).is_suspicious


@pytest.mark.parametrize(
    "name",
    [
        "mzxw6ytboi2dmnrxga3tqojqgezdgnbvgy3tqojq.evil.example",
        "a" * 63 + ".evil.example",
        "nbswy3dpfqqho33snrsccirai.x1.evil.example",
    ],
)
def test_names_that_carry_something_are(name: str) -> None:
    assert signal_of(name).is_suspicious


@given(st.text(max_size=80))
def test_every_name_has_a_signal(name: str) -> None:
    signal = signal_of(name)
    assert 0 <= signal.entropy <= 8
    assert signal.longest <= 80
