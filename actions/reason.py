"""Why a wish was not carried out: every refusal has one of these codes."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes, shown as they are by CLI, trail and metrics."""

    # stop
    PAUSED = "Paused"
    FROZEN = "Frozen"
    RECOVERING = "Recovering"
    WARMUP = "Warmup"
    STORM = "Storm"
    OWN_STORM = "OwnStorm"
    # mode
    MODE = "Mode"
    WINDOW = "Window"
    # evidence
    UNKNOWN = "Unknown"
    STALE = "Stale"
    TOO_FEW_SAMPLES = "TooFewSamples"
    LOW_CONFIDENCE = "LowConfidence"
    # ownership
    PROTECTED = "Protected"
    FORBIDDEN = "Forbidden"
    CLAIMED = "Claimed"
    CONTESTED = "Contested"
    OWNED_BY_HPA = "OwnedByHPA"
    OWNED_BY_KEDA = "OwnedByKEDA"
    OWNED_BY_GITOPS = "OwnedByGitOps"
    OWNED_BY_CONTROLLER = "OwnedByController"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    ROLLOUT_PAUSED = "RolloutPaused"
    NO_MECHANISM = "NoMechanism"
    OUT_OF_SCOPE = "OutOfScope"
    NOTHING_TO_DO = "NothingToDo"
    AT_LIMIT = "AtLimit"
    # budgets
    COOLDOWN = "Cooldown"
    RATE_LIMIT = "RateLimit"
    CONCURRENCY = "Concurrency"
    UNAVAILABLE = "Unavailable"
    DISRUPTION_BUDGET = "DisruptionBudget"
    BACKOFF = "Backoff"
    FLAPPING = "Flapping"
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    # human
    NEEDS_APPROVAL = "NeedsApproval"
    IRREVERSIBLE = "Irreversible"
    # a guard that failed to answer refuses
    GUARD_ERROR = "GuardError"
