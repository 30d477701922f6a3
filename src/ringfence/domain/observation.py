"""The words of what is seen of a sandbox beside its actions, as the record names them."""

from enum import StrEnum


class Seen(StrEnum):
    """The `what` of an observation.

    Which `detail` each has, besides `subject`; all values are texts:

    - `sandbox.started`: subject is the command; `tier`, `policy` (digest), `ca_fingerprint`,
      `workspace`, `binds`, `bounds` (of processes and memory, and by what), `monitor_pid`, `plan`
      (digest of what was confined how).
    - `sandbox.ended`: subject is why (`domain.sandbox.SandboxEnd`); `exit_code` or `signal`,
      `duration_us`, `cpu_us`, `memory_bytes`; `killed_for_memory` and `processes_refused` where
      it ran into its bounds.
    - `dns.query`: subject is the name; `type`, `verdict` (`allow` or `deny`), `answer`, `labels`
      (length of the longest) and `entropy` where they say something.
    - `connection`: subject is `host:port` or `address:port`; `how` (`connect`, `absolute`,
      `transparent`), `verdict`, and `why` if it was refused.
      With `how` `tcp` or `udp` it was to a port at which nothing of the plane's is, and led
      nowhere; `command` and `action` tell which command tried.
    - `call.refused`: subject is a system call; `with` what of its arguments says something,
      `error`, and `command` and `action` where they are known.
    - `workspace`: subject is the folder; counts of what was `added`, `changed` and `removed`; the
      body lists them.
    - `evidence.…`: subject is a kind; `from_us` and `bytes`; the body is the evidence.
    """

    SANDBOX_STARTED = "sandbox.started"
    SANDBOX_ENDED = "sandbox.ended"
    DNS_QUERY = "dns.query"
    CONNECTION = "connection"
    CALL_REFUSED = "call.refused"
    WORKSPACE = "workspace"
    TRANSCRIPT = "evidence.transcript"
    """What passed through a terminal, or the standard streams."""
    BUILTINS = "evidence.builtins"
    """What shells said of their own commands; advisory: a process can silence or forge it."""
