"""Signed checkpoints of the logs: kept beside the ledger's databases, never inside them.

Read in this order: `place` (what stands where), `key` (who signs), `leaf_file` (the hash of every
leaf), `note_file` (checkpoints, the newest last), `directory` (which logs there are), `deletion`
(what was deleted on purpose), `attestation` (one log's tree and its checkpoints), `keeper` (the
thread that signs while a plane runs).
"""

from ringfence.stores.checkpoint.attestation import Attestation
from ringfence.stores.checkpoint.keeper import Keeper
from ringfence.stores.checkpoint.key import SigningKeys

__all__ = ["Attestation", "Keeper", "SigningKeys"]
