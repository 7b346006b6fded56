"""The only identity in the program."""

import msgspec


class Target(msgspec.Struct, frozen=True, order=True):
    """A workload, or any other object that an action changes.

    Attributes:
        platform: who lists and changes it: `local`, `memory`, `kubernetes`.
        kind: what it is: `Service`, `Deployment`, ...
        namespace: where it is; never empty.
        name: its name there.
        uid: which one it is: an object deleted and created again under the same name has another uid.
    """

    platform: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    @property
    def ref(self) -> str:
        """How a person names it: `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return f"{self.platform}:{self.kind}/{self.namespace}/{self.name}@{self.uid}"
