"""What becomes of the folders that an agent may change, and what it leaves there for later.

Reading order: `watched_folder` (one folder, before and after), `tree` (the look), `summary` (what
is different), `late_place`, `host_git`, `late_code` and `late_search` (what would run later),
`quarantine` (set aside).
"""
