"""PostgreSQL as the place of state, ledger, bodies and budgets, for several planes at once.

Needs the extra `ringfence[postgresql]`; nothing else imports this package before a database's
address is given. Read in this order: `address`, `connection` (bounded in time, errors made ours),
`migration`, then what each store has here.
"""
