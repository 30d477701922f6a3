"""Verify the record: on disk, beside a running plane or after it, or as an export elsewhere.

Read in this order: `report` (what comes of it), `leaf`, `trust` (what signatures vouch for),
`installation` (keys and directory), `examination` (events against hashes, each other and bodies),
`account` (sums against events),
`outside` (what is known from elsewhere), `limit` (what stays open), `folder` (a data folder),
`export` (a file to take away), `proof` (of one event).
"""

from ringfence.stores.verification.export import ExportEvidence, verify_export
from ringfence.stores.verification.folder import Kept, verify_folder
from ringfence.stores.verification.outside import Outside, read_kept, read_key, read_witness
from ringfence.stores.verification.proof import prove, verify_proof
from ringfence.stores.verification.report import Report

__all__ = [
    "ExportEvidence",
    "Kept",
    "Outside",
    "Report",
    "prove",
    "read_kept",
    "read_key",
    "read_witness",
    "verify_export",
    "verify_folder",
    "verify_proof",
]
