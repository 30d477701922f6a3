"""What a monitor and its worker say on the run socket (`domain.monitoring`), as one union.

The monitor first sends one frame with its `Join`, together with the listeners; after it, both sides
go on as `transport.link` does.
"""

from typing import Final

from ringfence import __version__
from ringfence.domain.monitoring import (
    CallRefused,
    Changed,
    Close,
    Ended,
    Evidence,
    ExecAnswer,
    ExecAsked,
    ExecDiffers,
    ExecWaits,
    Exited,
    Heartbeat,
    Joined,
    Kill,
    LateCodeFound,
    Noted,
    PeerAnnounced,
    Ready,
)
from ringfence.transport.link import Failed

VERSION: Final = f"{__version__}+run2"

Message = (
    Ready
    | Joined
    | ExecAsked
    | ExecAnswer
    | ExecWaits
    | ExecDiffers
    | Kill
    | Exited
    | PeerAnnounced
    | CallRefused
    | Evidence
    | Changed
    | LateCodeFound
    | Ended
    | Close
    | Heartbeat
    | Noted
    | Failed
)
