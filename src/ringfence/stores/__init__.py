"""Keep and query records: files in a data folder, or a PostgreSQL database.

Imports `domain` and the pure floors above it. Read `database` and `migration` (SQLite, opened
safely), then one record, for example `state`; `ledger` (events, one log for each writer),
`checkpoint` and `verification` (what vouches for them), `body` (messages), `secret`; `postgresql`
has all of them a second time, behind the same protocols.
"""
