"""What a person may do on the control plane, by role."""

from collections.abc import Set as AbstractSet

from ringfence.domain.organisation import Role


def granted(roles: AbstractSet[Role]) -> frozenset[Role]:
    """Every role that these roles amount to: `admin` is all, each other includes `viewer`."""
    if Role.ADMIN in roles:
        return frozenset(Role)
    return frozenset(roles | {Role.VIEWER}) if roles else frozenset()


def held(key_roles: AbstractSet[Role], user_roles: AbstractSet[Role]) -> frozenset[Role]:
    """What a key is good for now: never more than its user still has."""
    return granted(key_roles) & granted(user_roles)


def allows(roles: AbstractSet[Role], needed: AbstractSet[Role]) -> bool:
    """Whether any of these roles opens a route that asks for one of `needed`."""
    return not granted(roles).isdisjoint(needed)
