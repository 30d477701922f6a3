from tests.api.plane import Plane

from ringfence.domain.organisation import Role


def test_the_status_says_nothing_of_any_organisation(plane: Plane) -> None:
    answer = plane.ask("GET", "status", key=plane.key(Role.VIEWER))
    assert answer.json() == {
        "version": "0.0.test",
        "is_serving": True,
        "started_us": str(plane.clock.now_us()),
        "epoch": 1,
        "configuration": plane.configuration.digest,
        "workers": [
            {
                "pid": 7,
                "epoch": 1,
                "open_invocations": 2,
                "connections": 3,
                "memory_bytes": 0,
                "cpu_us": "0",
                "messages": "0",
                "inquiries": "0",
                "trouble": "",
            }
        ],
    }
    assert b"acme" not in answer.body
