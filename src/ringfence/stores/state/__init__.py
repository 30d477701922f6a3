"""Control state: ids, agent states, credentials, keys, grants and epochs.

Read in this order: `schema` (the tables), `database` (transactions), `configuration` (how the file
gets its ids), then `agent`, `token`, `user`, `key` and `grant`; `store` opens them together. All of
it is synchronous; a caller on an event loop goes through a thread.
"""
