"""For programs of attacks that tell as JSON what became of each attempt; stands before theirs."""

import errno

became = {}


def attempt(name, do):
    try:
        result = do()
        became[name] = "DONE" if result is None else result
    except OSError as error:
        became[name] = errno.errorcode.get(error.errno, type(error).__name__)


