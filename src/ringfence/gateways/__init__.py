"""Floor 4: the doors that agents go through; each translates a protocol and holds no rules.

Imports lower floors only. Reading order: `head` and `data_plane` (one admission for every path),
`answer` (how every door answers), `carried` and `relay` (a call and its answer on their way), then
a door: `model`, `tool`, `egress`, `shell`, or `action` with `hook` for what passes none. `sandbox`
is the data plane as a sandbox has it, `inward` the plane at its own doors.
"""
