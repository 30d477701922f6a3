"""The broker of shared limits: it lends slabs to workers, so that together they pass no limit.

INVARIANT (I2): in every account, spent + lent <= limit + recorded overruns, unless the limit
was lowered; a worker reserves only from what it was lent (`decisions.slab`). What a dead worker
held stays lent, which counts as spent, until the ledger proves less.
"""

from collections import deque
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Final, final

from ringfence.decisions.account import Account, Place
from ringfence.decisions.budget import LIVING, MONEY, parts
from ringfence.decisions.due import Due
from ringfence.decisions.period import MINUTE_US, Line
from ringfence.domain.budget import AccountKey, Unit
from ringfence.domain.lease import (
    AccountState,
    Charged,
    Holder,
    Recall,
    Report,
    Slab,
    Spent,
    Take,
    Taken,
    Want,
)

SHARE: Final = 100
"""A slab is about one part in so many of a limit, or what a few calls need if that is more.

Measured elsewhere (slab 0.25 % of a budget: 0.04 round trips per call, 2.5 %: 0.005); a dead worker
leaves at most its slab unused until the ledger has been read.
"""
_FORGOTTEN_KEPT: Final = 10_000
_AGAIN_US: Final = 10_000_000
"""When an account is looked at again that is over and of which somebody holds something."""

Asked = tuple[Holder, Place]
"""Who was asked back for what."""


def asked_by(recalls: Mapping[Holder, Recall]) -> set[Asked]:
    """What these recalls ask for."""
    return {(holder, each) for holder, recall in recalls.items() for each in recall.accounts}


@final
class Broker:
    """Every shared account of an installation; fed messages, gives values, never waits.

    Where several planes share their accounts (`is_shared`), this is one plane's picture of some of
    them: `put` and `drop` bring it up to date, `state` is what is written back. A holder is then
    one log, whoever writes it, and what it has charged stays known for as long as the account.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        """Start without accounts; each opens at its first take, by `load` or by `put`."""
        self._is_shared = is_shared
        self._granted: dict[Place, int] = {}
        self._accounts: dict[Place, Account] = {}
        self._living: dict[str, list[Place]] = {}
        self._held: dict[Holder, set[Place]] = {}
        self._dead: set[Holder] = set()
        self._forgotten: dict[str, None] = {}
        self._due: Due[Place] = Due()

    def __len__(self) -> int:
        """How many accounts are held in memory."""
        return len(self._accounts)

    def load(self, key: AccountKey, window_start_us: int, spent: int, granted: int = 0) -> None:
        """Take what the stores know of a window when the plane starts."""
        account = self._account(key, window_start_us)
        account.spent += spent
        account.granted += granted

    def grant(self, key: AccountKey, window_start_us: int, amount: int) -> None:
        """Raise the limit of that window."""
        if self._is_shared:  # whoever takes next writes it down
            place = (key, window_start_us)
            self._granted[place] = self._granted.get(place, 0) + amount
        else:
            self._account(key, window_start_us).granted += amount

    def put(self, state: AccountState) -> None:
        """Know an account as another has written it."""
        account = Account.of(state)
        place = (account.key, account.start_us)
        self.drop([place])
        self._accounts[place] = account
        if account.key.scope in LIVING:
            self._living.setdefault(account.key.holder, []).append(place)
        for holder in account.holders():
            self._held.setdefault(holder, set()).add(place)

    def drop(self, places: Iterable[Place]) -> None:
        """Know nothing of these accounts any more."""
        for place in places:
            account = self._accounts.pop(place, None)
            if account is None:
                continue
            for holder in account.holders():
                self._held.get(holder, set()).discard(place)
            if account.key.scope in LIVING:
                self._living.get(account.key.holder, []).remove(place)

    def knows(self, place: Place) -> bool:
        """Whether an account is in the picture."""
        return place in self._accounts

    def state(self, place: Place) -> AccountState:
        """An account as it stands. Raises KeyError."""
        return self._accounts[place].state()

    def held(self, holder: Holder) -> Collection[Place]:
        """The accounts of the picture of which a holder has or had something."""
        return tuple(self._held.get(holder, ()))

    def take(self, holder: Holder, take: Take, now_us: int) -> Taken | Mapping[Holder, Recall]:
        """Lend everything that is needed; else say which holders must be asked for idle slabs.

        Whoever gets recalls passes their answers to `report`, then asks `take_again`; also if a
        holder has not answered in time.
        """
        self.report(holder, take.report)
        accounts = [self._wanted(want, take.epoch, now_us) for want in take.wants]
        return self._lend_or_recall(holder, take, accounts, frozenset())

    def take_again(
        self, holder: Holder, take: Take, now_us: int, asked: AbstractSet[Asked]
    ) -> Taken | Mapping[Holder, Recall]:
        """Lend what is needed now that idle slabs are back, or what there is.

        What somebody was lent meanwhile may lie idle there: who was not `asked` for it yet is, too.
        So a take ends, and nobody is refused for what another only tried to get.
        """
        accounts = [self._wanted(want, take.epoch, now_us) for want in take.wants]
        for account in accounts:
            account.waits_less(holder)
        return self._lend_or_recall(holder, take, accounts, asked)

    def _lend_or_recall(
        self, holder: Holder, take: Take, accounts: list[Account], asked: AbstractSet[Asked]
    ) -> Taken | Mapping[Holder, Recall]:
        lacking = [
            account
            for want, account in zip(take.wants, accounts, strict=True)
            if account.free < want.need
        ]
        recalls = {
            other: Recall(places)
            for other, recall in self._holders(holder, lacking).items()
            if (places := tuple(each for each in recall.accounts if (other, each) not in asked))
        }
        if not recalls:
            return self._lend(holder, take.wants, accounts)
        for account in accounts:
            account.waiting[holder] = account.waiting.get(holder, 0) + 1
        return recalls

    def lend_ahead(
        self, holder: Holder, wants: Iterable[Want], epoch: int, now_us: int
    ) -> tuple[Slab, ...]:
        """Lend what nobody has asked for yet: of accounts that are ample, to who holds nothing."""
        ample: list[tuple[Want, Account]] = []
        for want in wants:
            account = self._wanted(want, epoch, now_us)
            is_ample = account.free > want.need and not account.waiting
            if is_ample and holder not in account.lent:
                ample.append((want, account))
        return self._lend(holder, [each for each, _ in ample], [each for _, each in ample]).slabs

    def report(self, holder: Holder, report: Report) -> Mapping[Holder, Recall]:
        """Count what a holder has spent and gives back. What the dead say is in the ledger.

        The recalls are for accounts that it has overdrawn: nothing idle in them may be used now.
        """
        if holder in self._dead:
            return {}
        for said in report.spent:
            self._charge(holder, said)
        for back in report.returned:
            account = self._accounts.get((back.key, back.window_start_us))
            if account is not None:
                account.shorten(holder, back.amount)
        overdrawn = [
            account
            for said in report.spent
            if said.uncovered
            and (account := self._accounts.get((said.key, said.window_start_us))) is not None
            and account.free < 0
        ]
        return self._holders(holder, overdrawn)

    def died(self, holder: Holder) -> None:
        """What this holder held stays lent until `prove`."""
        self._dead.add(holder)

    def prove(
        self, holder: Holder, charged: Iterable[Charged], now_us: int
    ) -> Mapping[Holder, Recall]:
        """A dead holder has spent what its ledger says and nothing else; what it held is free.

        `charged` is over the holder's whole life; an account that is not named was not drawn on.
        Never less is counted than what the holder itself reported. What it held of a rate or of
        tokens, which no ledger sums, counts as used in this moment. The recalls are as those of
        `report`.
        """
        overdrawn = []
        for each in charged:
            account = self._accounts.get((each.key, each.window_start_us))
            if account is not None:
                account.prove(holder, each.amount)
                overdrawn.append(account)
        for place in self._held.pop(holder, ()):
            found = self._accounts.get(place)
            if found is not None:
                found.let_go(holder, now_us)
                if not self._is_shared:
                    found.told.pop(holder, None)
        if self._is_shared:  # the same log goes on, and what it charged is known
            self._dead.discard(holder)
        return self._holders(holder, [account for account in overdrawn if account.free < 0])

    def forget(self, invocation: str) -> None:
        """Drop the accounts of a closed invocation or tree; nothing is lent to it again."""
        for place in self._living.pop(invocation, ()):
            account = self._accounts.pop(place)
            for holder in account.holders():
                self._held.get(holder, set()).discard(place)
        self._forgotten[invocation] = None
        if len(self._forgotten) > _FORGOTTEN_KEPT:
            del self._forgotten[next(iter(self._forgotten))]

    def drop_past(self, now_us: int) -> int:
        """Drop what is over, windows and rates, and of which nothing is lent; say how many."""
        past = []
        for place in self._due.take(now_us):
            account = self._accounts.get(place)
            if account is not None and account.is_past(now_us):
                del self._accounts[place]
                past.append(place)
            elif account is not None:  # somebody holds something of it still
                self._due.put(place, now_us + _AGAIN_US)
        for held in self._held.values():
            held.difference_update(past)
        return len(past)

    def standing(
        self, organisation: str, now_us: int, units: Container[Unit] = MONEY
    ) -> tuple[Line, ...]:
        """Every account of an organisation in a window that is not over.

        What is reserved is as the workers last said. One that was loaded and not yet asked for is
        among them: its window ends where it starts, for its end is not known here.
        """
        return tuple(chain.from_iterable(self.standing_in_turns(organisation, now_us, units)))

    def standing_in_turns(
        self, organisation: str, now_us: int, units: Container[Unit] = MONEY
    ) -> Iterator[list[Line]]:
        """The same in parts, as `Book.standing_in_turns` gives them."""
        for some in parts(list(self._accounts.values())):
            yield [
                account.line()
                for account in some
                if account.key.organisation == organisation
                and account.key.unit in units
                and (account.end_us in {None, account.start_us} or (account.end_us or 0) > now_us)
            ]

    def lent(self, holder: Holder) -> Mapping[Place, int]:
        """What a holder holds now, by account."""
        places = self._held.get(holder, set())
        return {
            place: account.lent[holder]
            for place in places
            if (account := self._accounts.get(place)) is not None and holder in account.lent
        }

    def _wanted(self, want: Want, epoch: int, now_us: int) -> Account:
        """The account as it stands for this want, under the limit of the newest epoch."""
        if want.key.holder in self._forgotten and want.key.scope in LIVING:
            return Account(want.key, want.window_start_us)
        account = self._account(want.key, want.window_start_us)
        if self._granted:
            granted = self._granted.get((want.key, want.window_start_us), 0)
            account.granted = max(account.granted, granted)
        account.end_us = want.window_end_us
        if epoch >= account.epoch:
            account.stated, account.epoch = want.limit, epoch
        account.fade(now_us)
        if not self._is_shared:  # rows are dropped where they are
            self._plan(account, now_us)
        return account

    def _plan(self, account: Account, now_us: int) -> None:
        """Have an account dropped once it is over; those of a run end with it."""
        place = (account.key, account.start_us)
        if account.key.unit is Unit.CALLS_PER_MINUTE:
            self._due.put(place, now_us + MINUTE_US)
        elif account.end_us is not None and account.end_us > account.start_us:
            self._due.put(place, account.end_us)

    def _holders(self, holder: Holder, accounts: Iterable[Account]) -> Mapping[Holder, Recall]:
        """Who else is alive and holds something of these accounts."""
        asked: dict[Holder, list[Place]] = {}
        for account in accounts:
            for other, lent in account.lent.items():
                if other != holder and lent > 0 and other not in self._dead:
                    asked.setdefault(other, []).append((account.key, account.start_us))
        return {other: Recall(tuple(places)) for other, places in asked.items()}

    def _lend(self, holder: Holder, wants: Iterable[Want], accounts: list[Account]) -> Taken:
        """Everything, or what there is; too little for this call may be enough for who waits."""
        slabs = []
        is_short, frees_us = False, 0
        for want, account in zip(wants, accounts, strict=True):
            is_left = account.free < want.need and any(each != holder for each in account.waiting)
            amount = 0 if is_left or holder in self._dead else _size(want, account, holder)
            if account.free < want.need:
                is_short = True
                if account.times:
                    frees_us = max(frees_us, account.times[0] + MINUTE_US)
            if self._is_shared:
                # Who holds nothing may charge all the same, if a bound was wrong: it is found so.
                account.told.setdefault(holder, 0)
            if amount > 0:
                account.lent[holder] = account.lent.get(holder, 0) + amount
                self._held.setdefault(holder, set()).add((account.key, account.start_us))
            slabs.append(
                Slab(
                    key=account.key,
                    window_start_us=account.start_us,
                    window_end_us=account.end_us,
                    amount=amount,
                    limit=account.limit,
                    free=account.free,
                )
            )
        return Taken(slabs=tuple(slabs), is_short=is_short, frees_us=frees_us)

    def _charge(self, holder: Holder, said: Spent) -> None:
        """Move what was spent from lent to spent; what the lease did not cover is an overrun."""
        place = (said.key, said.window_start_us)
        account = self._accounts.get(place)
        if account is None:
            return
        account.spent += said.amount
        account.overrun += said.overrun
        account.told[holder] = account.told.get(holder, 0) + said.amount
        account.reserved[holder] = said.reserved
        self._held.setdefault(holder, set()).add(place)
        account.shorten(holder, said.amount - said.uncovered)
        if said.times_us:
            account.times = deque(sorted((*account.times, *said.times_us)))

    def _account(self, key: AccountKey, start_us: int) -> Account:
        place = (key, start_us)
        account = self._accounts.get(place)
        if account is None:
            account = self._accounts[place] = Account(key, start_us)
            if key.scope in LIVING:
                self._living.setdefault(key.holder, []).append(place)
        return account


def _size(want: Want, account: Account, holder: Holder) -> int:
    """How much to lend: what is needed, and ahead of it a part that shrinks near the limit.

    Nothing ahead while others wait for this account: what lies idle here would be refused to them.
    """
    free = max(0, account.free)
    if free <= want.need or account.waiting:
        return min(free, want.need)
    holders = len(account.lent) + (holder not in account.lent)
    wish = max(account.limit // SHARE, want.each * want.calls)
    ahead = min(wish, free // (2 * holders)) - want.need
    return want.need + (ahead // want.each * want.each if ahead > 0 and want.each else 0)
