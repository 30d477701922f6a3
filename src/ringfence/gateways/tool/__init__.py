"""The tool gateway: MCP clients of both eras in front of MCP servers of both eras.

Upstream: `channel` (a way to one server), `reply` and `web` (over HTTP), `child` (a process),
`server` (one configured server: its eras and channels). Downstream: `outlet` (an answer on its
way to a client), `session` (a legacy client), `call` (one governed request), `rounds` (questions
to the client, in its era), `listing`, then `door`.
"""
