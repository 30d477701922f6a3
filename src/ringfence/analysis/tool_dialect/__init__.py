"""Whether a provider takes the schema of a tool, and how it is mended without losing anything.

Read in this order: `objection` (what is wrong, and where), `rule` (what each provider refuses),
`check` (all that one provider says of one tool), `repair`.
"""
