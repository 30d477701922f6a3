"""How good tools are for the models that must use them: each finding with what mends it.

Read in this order: `finding`, `wording` (what a tool says), `shape` (what it takes and gives),
`company` (several tools together), `lint`, and `misuse` (what models got wrong, from the record).
"""
