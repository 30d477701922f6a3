"""The scripted model server: four dialects, answers and faults from a YAML file, no model.

Read in this order: `script` (what a file may say), `question` (what is read of a request),
`emission` (what an answer is, in any dialect), `playbook` (which rule answers), the four dialects
`chat`, `responses`, `messages`, `gemini`, then `journal` and `server`.
"""
