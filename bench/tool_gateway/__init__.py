"""The tool gateway beside its peers: the same MCP requests through each of them, in one run."""
