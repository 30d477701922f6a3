"""The scripted tool server: an MCP server over HTTP and stdio, of both eras, with faults to order.

`python -m ringfence.testing.tools`. Read in this order: `plan` (what may be ordered), `catalogue`
(what it offers), `behaviour` (what its tools do), `dialogue` (one peer's messages), then `web` and
`stdio`, and `serving` for tests.
"""
