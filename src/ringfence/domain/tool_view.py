"""The words of tool views: a tool as clients see it, without touching its server."""

from dataclasses import dataclass

from ringfence.domain.tool_rule import FollowUp


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterView:
    """One parameter as clients see it. JSON texts are kept as bytes, exactly as they are sent.

    `name` is what clients call it, empty for its own. A hidden one is not shown, and is always
    sent with its `default`. With `choices`, only these JSON values are allowed.
    """

    parameter: str
    name: str = ""
    description: str = ""
    default: bytes = b""
    is_hidden: bool = False
    choices: tuple[bytes, ...] = ()

    @property
    def shown(self) -> str:
        """What clients call it."""
        return self.name or self.parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """What the model is told instead of an error text: `say` for what `match` (`*`, `?`) fits.

    `{error}` in `say` stands for the server's own text.
    """

    match: str
    say: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewStep:
    """A further call of a view that is made of several; `name` is what its result is called.

    In its arguments `$.arguments` is what the client sent, `$.result` what the call before gave.
    """

    name: str
    call: FollowUp


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolView:
    """A tool of a server as clients see it.

    With `of`, it is a tool of its own by the name `tool`, made of the server's tool `of`: scopes,
    policies and the record name it like any other. Without, it is the server's `tool`, by whatever
    `name` clients see.
    """

    tool: str
    of: str = ""
    name: str = ""
    title: str = ""
    description: str = ""
    is_hidden: bool = False
    parameters: tuple[ParameterView, ...] = ()
    errors: tuple[ErrorView, ...] = ()
    steps: tuple[ViewStep, ...] = ()
    """Calls that are made after its own, one after the other; each is an action by itself."""

    @property
    def origin(self) -> str:
        """The server's own name of the tool."""
        return self.of or self.tool

    @property
    def shown(self) -> str:
        """What clients call it."""
        return self.name or self.tool
