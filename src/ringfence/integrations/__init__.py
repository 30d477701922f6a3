"""Floor 5: known agents brought behind the gateways, set up as each of them wants it.

Imports the sandbox and lower floors. Read `known_agent` first; each other module is one agent.
"""
