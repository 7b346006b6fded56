"""Every action this build knows; a new one is one file and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from actions.action import Action
from actions.escalate import Escalate
from actions.health_check import HealthCheck
from actions.restart import Restart
from actions.scale import Scale

_ALL: tuple[Action, ...] = (Scale(), Restart(), HealthCheck(), Escalate())

ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in _ALL})
"""By the name that policies use."""
