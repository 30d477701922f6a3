"""The egress gateway: every way out of a sandbox, on the listeners that were made inside it.

Reading order: `door` (listeners), `place` (what is kept of a sandbox and of a connection),
`arrival` (what a connection wants), `request` (where one request goes), `traffic` (the requests of
a connection, one after the other), `call` (one of them, from its intent to its end), `relay` (its
answer), `refusing`; then `web_socket`, `pass_through` and `name_server`.
"""
