"""The egress gateway: every way out of a sandbox, on the listeners that were made inside it.

Reading order: `door` (listeners), `arrival` (what a connection wants), `request` (where one request
goes), `call` (its life), `relay` (its answer); then `web_socket`, `pass_through` and `name_server`.
"""
