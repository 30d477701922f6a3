"""`ringfence demo`: a plane, a scripted model and three sample agents, all on this machine.

Read `command` (what is shown), `stage` (what is started, in which order), `child` (processes and
how they end). `support.py`, `research.py` and `coder.py` are the agents: plain programs that import
nothing of Ringfence, run by path, that know a base URL and a token.
"""
