"""Pure readings of what happened: traces, tools and their use, reliability, hash trees.

Imports `domain` only, and never waits; nothing here decides. Each module stands alone: read
`branch` and `trace` (the record as a tree), then whichever noun is wanted.
"""
