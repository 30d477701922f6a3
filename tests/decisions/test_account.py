import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ringfence.decisions.account import Account
from ringfence.decisions.period import MINUTE_US
from ringfence.domain.budget import AccountKey, BudgetScope, Per, Unit
from ringfence.domain.lease import AccountState, Holder

DAILY = AccountKey("org_1", BudgetScope.AGENT, "agt_1", Per.DAY)
RATE = AccountKey("org_1", BudgetScope.USER, "user_1", Per.TOTAL, Unit.CALLS_PER_MINUTE)
TOKENS = AccountKey("org_1", BudgetScope.TREE, "inv_1", Per.TREE, Unit.TOKENS)
ONE, TWO = Holder("log_1"), Holder("log_2")
LARGE = 2**60

amounts = st.dictionaries(st.sampled_from([ONE, TWO]), st.integers(1, LARGE))


@given(
    spent=st.integers(0, LARGE),
    lent=amounts,
    told=amounts,
    waiting=amounts,
    times=st.lists(st.integers(0, LARGE)).map(tuple),
    key=st.sampled_from([DAILY, RATE, TOKENS]),
)
def test_an_account_survives_being_written_down(  # noqa: PLR0913, PLR0917 (all that is drawn)
    spent: int,
    lent: dict[Holder, int],
    told: dict[Holder, int],
    waiting: dict[Holder, int],
    times: tuple[int, ...],
    key: AccountKey,
) -> None:
    state = AccountState(
        key=key,
        start_us=7,
        end_us=9,
        stated=100,
        epoch=3,
        granted=5,
        spent=spent,
        overrun=1,
        lent=lent,
        told=told,
        waiting=waiting,
        times_us=times,
    )
    assert Account.of(state).state() == state
    text = msgspec.json.encode(state)
    assert msgspec.json.decode(text, type=AccountState) == state
    assert Account.of(state).holders() == {*lent, *told, *waiting}


def test_a_ledger_proves_more_than_was_told_and_never_less() -> None:
    account = Account(DAILY, 0)
    account.spent, account.told[ONE] = 30, 20
    account.prove(ONE, 15)
    assert (account.spent, account.told[ONE]) == (30, 20)
    account.prove(ONE, 24)
    account.prove(ONE, 24)
    assert (account.spent, account.told[ONE]) == (34, 24)


def test_what_a_dead_holder_had_is_free_where_a_ledger_can_tell() -> None:
    account = Account(DAILY, 0)
    account.stated, account.lent[ONE] = 100, 40
    account.waiting[ONE] = 1
    assert account.free == 60
    account.let_go(ONE, 0)
    assert account.free == 100
    assert not account.waiting
    tokens = Account(TOKENS, 0)
    tokens.stated, tokens.lent[ONE] = 100, 40
    tokens.let_go(ONE, 0)
    assert tokens.free == 60


def test_an_account_is_idle_when_nothing_in_it_counts_any_longer() -> None:
    account = Account(DAILY, 0)
    assert account.idle_us() is None, "its end is not known yet"
    account.end_us = 100
    assert account.idle_us() == 100
    account.lent[TWO] = 1
    assert account.idle_us() is None
    account.shorten(TWO, 1)
    assert account.is_past(100)
    assert not account.is_past(99)
    rate = Account(RATE, 0)
    rate.times.extend([5, 10])
    assert rate.idle_us() == 10 + MINUTE_US
    assert Account(TOKENS, 0).idle_us() is None


def test_who_waits_twice_waits_until_both_have_got_something() -> None:
    account = Account(DAILY, 0)
    account.waiting[ONE] = 2
    account.waits_less(ONE)
    assert account.waiting == {ONE: 1}
    account.waits_less(ONE)
    assert account.waiting == {}
