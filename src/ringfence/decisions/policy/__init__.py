"""What policies say about an action: Cedar, fed with exact facts, and denying what is unsure.

Read in this order: `engine` (Cedar), `rule` (one policy), `scope` (what the configuration says, as
policies), `entity` and `fact` (what policies may ask), `shape` and `argument` (a tool's arguments,
exactly), `slice` (what can matter to one question, and what was decided), `policy_set`. For
files: `text`, `source`, `schema`, `vocabulary`, `validation`, `compilation`; to try
them: `case`, `replay`.
"""
