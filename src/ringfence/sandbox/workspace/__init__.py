"""What becomes of the folders that an agent may change, and what it leaves there for later.

Reading order: `watched_folder` (one folder, before and after), `tree` (the look), `summary` (what
is different), `late_place` and `late_code` (what would run later), `quarantine` (set aside).
"""
