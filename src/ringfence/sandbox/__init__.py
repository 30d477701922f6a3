"""Floor 4: run a program so that even a compromised one reaches nothing but what it was given.

Imports lower floors only. Reading order: `plan` (what is wanted), `strict`, `reduced` and
`unconfined` (the three tiers, each with `prepare`), `prepared` (a process that waits to go on),
`notification` (the calls that the kernel asks us about), `preflight` (whether this machine can);
`plane_message`, `plane_link` and `monitor` tie a run to the plane; `workspace` is what becomes of
the folders that an agent may change. Importing works on every system;
`prepare` refuses where it cannot confine.
"""
