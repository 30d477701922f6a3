"""What came of a verification: what is wrong, what is worth knowing, what it cannot tell."""

from dataclasses import dataclass, field
from typing import Final

from ringfence.analysis.verification import Finding

_MOST_FINDINGS: Final = 10_000
_MOST_UNKNOWN: Final = 1_000


@dataclass(slots=True, kw_only=True)
class Report:
    """`holds` says it in one word; `limits` what even then may be so."""

    findings: list[Finding] = field(default_factory=list)
    left_out: int = 0
    """Findings beyond the first ten thousand."""
    remarks: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Actions whose outcome is `unknown`: a process ended before it was known."""
    unknown_count: int = 0
    logs: int = 0
    events: int = 0
    bodies: int = 0
    bodies_absent: int = 0
    checkpoints: int = 0
    key: str = ""
    """The public key of the newest signatures."""

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, finding: Finding) -> None:
        """Take one more."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.left_out += 1

    def add_unknown(self, action: str) -> None:
        """Take an action without a known outcome."""
        self.unknown_count += 1
        if len(self.unknown) < _MOST_UNKNOWN:
            self.unknown.append(action)
