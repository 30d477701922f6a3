"""The model gateway: four dialects in, the same bytes out, and no rule of its own.

Read `endpoint` (which path speaks which dialect), `door` (a request comes in), `call` (one call
from intent to end), `passing` (how its answer passes), `relay` (a stream while it passes),
`upstream` (what a provider is sent), `listing` (what an agent may use).
"""
