"""Settings: read once from files and environment, checked as a whole, parsed into frozen types.

Imports every lower floor's words; imported by `cli` and `app` alone. Read in this order: `problem`
(what is said), `tree` (YAML with places), `variable`, `reading` and `section` (typed reading),
`definition` (one module per noun), `reference` (checks across them), `loading` (files to
`Configuration`), `starter`, `settings`.
"""
