"""Floor 4: run a program so that even a compromised one reaches nothing but what it was given.

Imports lower floors only; importing works on every system, preparing refuses where it cannot
confine. Reading order, along one run: `running` (from a grant to the end), `assembly` and `plan`
(what is wanted), `strict`, `reduced` and `unconfined` (the three tiers, which prepare it),
`prepared` (a process that waits to go on), `monitor` with `plane_link` and `plane_message` (its tie
to the plane), `notification` (what the kernel hands over), `asking` (which the plane decides),
`report` (what is told besides), `workspace` (what becomes of the folders that an agent may
change). `preflight` finds out whether this machine can.
"""
