"""The values of secrets: read by enforcement alone, never printed, stored only encrypted.

Read `value` (what a value is in memory), `envelope` and `wrapping_key` (how one is encrypted),
`stored` (the encrypted store).
"""

from ringfence.stores.secret.stored import StoredSecret, StoredSecrets
from ringfence.stores.secret.value import EnvironmentSecrets, Secret, Secrets
from ringfence.stores.secret.wrapping_key import WrappingKeys

__all__ = [
    "EnvironmentSecrets",
    "Secret",
    "Secrets",
    "StoredSecret",
    "StoredSecrets",
    "WrappingKeys",
]
