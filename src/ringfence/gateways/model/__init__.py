"""The model gateway: four dialects in, the same bytes out, and no rule of its own.

Read `endpoint` (which path speaks which dialect), `door` (one call from request to answer), `relay`
(a stream while it passes), `upstream` (what a provider is sent), `listing` (what an agent may use).
"""
