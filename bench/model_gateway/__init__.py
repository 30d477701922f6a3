"""The model gateway beside its peers: same load, same upstream, each pinned to one core.

Read `scenario` (what is asked), `upstream` (the fake provider), `load` (who asks), `subject` and
`peers` (who is measured), `run` (rounds), `report` (tables), `parts` (where Ringfence's time goes).
"""
