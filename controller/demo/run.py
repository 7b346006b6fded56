"""`auto demo`: the whole walk, its score card, and an end that leaves nothing behind."""

from controller.core.records import Intent, Result
from controller.demo.evidence import accepted, held_by_storm, held_reasons, results
from controller.demo.play import play
from controller.demo.screen import Screen
from controller.demo.stage import Stage, seconds
from controller.demo.steps import STEPS
from controller.demo.walk import POLICY, SCALE, FailedError, Walk

TITLE = "Gyrostat: real services, broken for real, healed while you watch"


def main(mode: str | None = None, *, keep: bool = False) -> int:
    """Run it.

    Args:
        mode: no policy acts above it; None: each policy as it says.
        keep: leave the folder, and say how to go on in it.

    Returns:
        0 if every step ended as it must, 1 if one did not, 128 + signal if it was told to end.
    """
    walk = Walk(Stage(), Screen(), mode or "")
    code = play(walk, TITLE, (*STEPS, ("score", "score card", _score)), keep=keep)
    if keep and walk.stage.folder.name:
        _farewell(walk)
    return code


def _score(walk: Walk) -> None:
    """Count, from what is written down, and judge.

    Raises:
        FailedError: not everything was healed, or something was made worse.
    """
    records, effects = [record for _, record in walk.stage.records()], walk.stage.effects()
    healed, harm = results(records, POLICY)[Result.HEALED], walk.harm()
    releases = [r for r in records if isinstance(r, Intent) and r.step == "Release"]
    undone, stormy = results(records, SCALE)[Result.UNDONE], held_by_storm(records)
    reasons = held_reasons(records)
    rows = [
        ("healed", str(healed), f"of {len(walk.hung)} hung workers: restarted, and seen to answer again"),
        ("released", str(len(releases)), "what was lifted after its hold"),
        ("undone", str(undone), "what did not help, and was put back"),
        ("storm", str(len(stormy)), "targets held while all were sick; each alone would have been restarted"),
        ("held", str(sum(reasons.values())), ", ".join(f"{reason} {count}" for reason, count in reasons.items())),
        ("actions", str(len(accepted(effects))), "changes in the supervisor's log, each with its earlier intent"),
        (
            "harm",
            str(len(harm)),
            "; ".join(harm) or "nothing unasked for: log and trail agree both ways, no healthy worker was touched",
        ),
    ]
    for name, count in walk.requests().items():
        total = count.ok + count.failed
        lost = f"{count.timeouts} timed out, {count.errors} failed: {100 * count.failed / max(1, total):.2f} %"
        rows.append((name, str(total), f"requests; {lost}"))
    rows.append(("seconds", f"{seconds() - walk.began:.1f}", "from the first command to here"))
    walk.screen.rows(rows)
    if harm or healed != len(walk.hung):
        raise FailedError(f"{len(walk.hung)} healed and no harm", f"{healed} healed, {len(harm)} harm")


def _farewell(walk: Walk) -> None:
    folder = walk.stage.folder
    walk.screen.title("", [f"everything has ended, its files are kept; go on by hand in {folder}:"])
    walk.screen.block(["auto local up services.yaml", "auto loop --config gyrostat.yaml"])
