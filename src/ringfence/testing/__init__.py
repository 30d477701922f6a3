"""Doubles that ship with Ringfence, so that users can test their agents too.

Imports only floors 0 to 2, and no product code imports it. Read in this order: `clock`, `ids`,
`http`, then `model`, the scripted model server (`python -m ringfence.testing.model`), and `tools`,
the scripted tool server (`python -m ringfence.testing.tools`).
"""
