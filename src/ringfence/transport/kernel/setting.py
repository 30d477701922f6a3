"""Files of /proc and of control groups by which the kernel takes a setting."""

import os


def write(path: str, text: str) -> None:
    """Give the kernel a text in one call, as it wants it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
