"""CEL rules of the policy kinds: the mistakes that an API server can tell at once, where the author sees them.

They repeat what the models check, so that a mistake is refused at `kubectl apply` and not found in a status later. They
refuse nothing that the models take (a test), and whatever they let through the models still refuse.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from actions.plan import Undo
from actions.registry import ACTIONS

Rule = Mapping[str, str]

NAME: Rule = {
    "rule": "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
    "message": "the name of a policy has lower-case letters, digits, and - inside, at most 63",
}


def rules() -> dict[str, list[Rule]]:
    """By name of the model."""
    return {
        "Targets": [
            _rule(
                "has(self.selector) || has(self.names) || (has(self.allowAll) && self.allowAll)",
                "chooses nothing: give selector.matchLabels or names, or allowAll: true for every target",
            ),
            _rule(
                "!(has(self.selector) || has(self.names)) || !has(self.allowAll) || !self.allowAll",
                "chooses all and some: either allowAll, or selector and names",
                ".allowAll",
            ),
        ],
        "Spec": [
            _rule("has(self.action) != has(self.actions)", "needs one of action and actions"),
            _rule(
                "!has(self.onFailure) || self.onFailure != 'Next' || !has(self.action)",
                "there is no next action: give actions, two or more",
                ".onFailure",
            ),
        ],
        "ActionEntry": _entry(),
        "ScaleParams": _scale(),
        "Verify": [
            _rule(  # CEL knows no days
                "!has(self.initialDelay) || !has(self.within)"
                " || self.initialDelay.contains('d') || self.within.contains('d')"
                " || duration(self.initialDelay) < duration(self.within)",
                "leaves no time to look: initialDelay must be shorter than within",
                ".initialDelay",
            )
        ],
    }


def _rule(rule: str, message: str, path: str = "") -> Rule:
    return {"rule": rule, "message": message} | ({"fieldPath": path, "reason": "FieldValueInvalid"} if path else {})


def _scale() -> list[Rule]:
    """A step or a number, and bounds that mean something."""
    return [
        _rule("has(self.by) != has(self.to)", "say either by (a step) or to (a number), and only one of them"),
        _rule(
            "!has(self.to) || !(has(self.max) || has(self.min))",
            "max and min bound a step by; with to they would mean nothing",
        ),
        _rule(
            "!has(self.by) || !has(self.min) || !self.by.startsWith('+')",
            "min bounds a step down; this step goes up",
            ".min",
        ),
        _rule(
            "!has(self.by) || !has(self.max) || !self.by.startsWith('-')",
            "max bounds a step up; this step goes down",
            ".max",
        ),
    ]


def _entry() -> list[Rule]:
    """What fits together in an action: its type, the parameters of that type, and a hold."""
    found = []
    for name, action in ACTIONS.items():
        key = name[0].lower() + name[1:]
        found.append(
            _rule(f"!has(self.{key}) || self.type == '{name}'", f"{key} is allowed only with type {name}", f".{key}")
        )
        if _needs_params(action.params):
            found.append(_rule(f"self.type != '{name}' || has(self.{key})", f"{name} needs {key}"))
    lasting = [f"'{name}'" for name, action in ACTIONS.items() if action.undo is Undo.REVERSIBLE]
    held = f"!has(self.hold) || self.type in [{', '.join(lasting)}]"
    return [*found, _rule(held, "this type leaves nothing that could be lifted after a hold", ".hold")]


def _needs_params(model: Any) -> bool:
    try:
        model()
    except ValidationError:
        return True
    return False
