"""MCP: messages between clients, this gateway and tool servers, of both eras of the protocol.

The handshake era (2024-11-05 … 2025-11-25) has sessions; the stateless era (2026-07-28) says
everything in each request. Read in this order: `version`, `message` (one message, its bytes kept),
`request` (what governance reads of a request), `head` (what HTTP headers repeat of it), `listing`
and `error` (what is said back), `name` (merged names), `sealing`, then `translation` between the
eras.

Sources: https://modelcontextprotocol.io/specification (each revision under its date) and JSON-RPC
2.0, https://www.jsonrpc.org/specification.
"""
