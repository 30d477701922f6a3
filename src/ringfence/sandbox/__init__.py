"""Floor 4: run an agent's process in isolation, and watch it. Imports lower floors only.

Read `plane_message`, `plane_link` and `monitor` for how a run is tied to the plane.
"""
