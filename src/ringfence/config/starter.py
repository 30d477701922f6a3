"""The starter that `ringfence init` writes: valid at once, and commented to grow from."""

from pathlib import Path

from ringfence.domain.error import UsageError

TEXT = """\
# What Ringfence lets your agents do. Every key: docs/configuration.md.
# Check this file with `ringfence check`; a running plane takes it with `ringfence reload`.
format: 1

# Budgets apply to everything inside: organisation, team, agent, one run of an agent.
# `per` is hour, day, week, month or total; for agents also invocation and tree.
organisation: {name: my-organisation, timezone: UTC, budget: {usd: 500, per: month}}

teams:
  support: {budget: {usd: 100, per: month}}

# People. Every agent has an owner who stands here.
# Roles: viewer, approver, builder, auditor, admin.
users:
  you@example.org: {roles: [admin]}

# Upstreams that answer model calls. A credential is never written here: it names an environment
# variable, which must be set when Ringfence starts.
providers:
  # A model server of your own (vLLM, Ollama, llama.cpp, …) that needs no credential.
  house: {protocol: openai, base_url: "http://127.0.0.1:11434/v1"}

  # openai:
  #   protocol: openai
  #   base_url: https://api.openai.com/v1
  #   credential: "${OPENAI_API_KEY}"
  # anthropic:
  #   protocol: anthropic
  #   base_url: https://api.anthropic.com
  #   credential: "${ANTHROPIC_API_KEY}"
  # gemini:
  #   protocol: gemini
  #   base_url: https://generativelanguage.googleapis.com
  #   credential: "${GEMINI_API_KEY}"
  # azure:
  #   protocol: openai
  #   base_url: https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT
  #   query: {api-version: "2024-10-21"}
  #   credential_header: api-key
  #   credential: "${AZURE_OPENAI_API_KEY}"

# The names that agents ask for, and where they lead. Published prices are known for most models
# of the large providers; for any other give `price`, in US dollars per million tokens.
models:
  house-model: {provider: house, upstream: llama3.2, price: {input: 0.10, output: 0.40}}

  # gpt-5-mini: {provider: openai, fallback: [house-model]}
  # claude-sonnet-4-5: {provider: anthropic}
  # gemini-2.5-flash: {provider: gemini}

# Tools: what an agent does by itself and asks about before, and MCP servers, reached at /mcp/NAME.
# What is irreversible waits for a person: `ringfence approval`.
tools:
  claude: {runs: agent, read: [Read, Grep, Glob], consequential: [Bash, Write, Edit]}

  # crm:
  #   url: https://crm.example/mcp
  #   credential: "${CRM_TOKEN}"
  #   read: [get_*, list_*]
  #   irreversible: [delete_*, refund]
  # files: {command: [npx, --no-install, mcp-server-filesystem, /srv/shared]}

# Credentials that requests of sandboxed agents need and no agent sees: `ringfence secret set NAME`.
# secrets:
  # crm-api:
  #   stored: true
  #   bind: {host: api.crm.example, path: /v1, as: bearer}

# Your agents. Each gets a token with `ringfence agent token NAME`.
agents:
  assistant:
    owner: you@example.org
    team: support
    # workflow (fixed steps), bounded (one domain) or open (plans, uses sub-agents); sets limits.
    category: bounded
    purpose: Answer questions of customers.
    models: [house-model]
    # tools: ["crm__*", "files__read_*"]
    # hosts: [api.crm.example]
    # secrets: [crm-api]
    budget: [{usd: 5, per: day}, {usd: 0.50, per: invocation}]
    limits: {model_calls: 50, output_tokens: 4000, seconds: 900}

  # One that works in a sandbox, started with `ringfence run --agent coder -- COMMAND`.
  coder:
    owner: you@example.org
    purpose: Write code.
    models: [house-model]
    tools: ["claude__*"]
    commands: ["*"]  # which programs may run beside the one that you start
    # hosts: [api.crm.example]
"""


def write_starter(path: Path) -> None:
    """Write the starter. Raises UsageError `already_exists`, or `not_writable`."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEXT)
    except FileExistsError:
        raise UsageError(
            "already_exists", f"`{path}` exists already", help="edit it, or name another file"
        ) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError("not_writable", f"cannot write `{path}`: {reason}") from error
