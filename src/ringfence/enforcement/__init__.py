"""For each action: gather facts, ask the decisions, carry out the verdict, record the event.

One path for all doors; ARCHITECTURE.md walks it. Read `route` (where a model's calls go),
`directory` (who may knock), `invocation` (runs while they are open), `model_call` (the path of a
model call), `quote` (what it may cost), `ticket` (an action between intent and outcome),
`settlement` (what it did cost), `authority` (how long a process may act on its own), `lack` (what
another process must supply), `refusal`, `dispatch`.
"""
