import json

from ringfence.protocols.mcp import identity


def test_our_own_requests_say_who_asks() -> None:
    params = json.loads(identity.params(identity.OWN, {"cursor": b'"x"'}))
    assert params["cursor"] == "x"
    assert params["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "ringfence"
    assert json.loads(identity.INTRODUCTION)["capabilities"] == {}
