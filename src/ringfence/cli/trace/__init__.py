"""`ringfence trace`: `command` asks, `rendering` writes a tree, `step` one step, on a `sheet`."""
