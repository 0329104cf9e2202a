"""The status of a ContainerVersion in a cluster, and how an outcome becomes one.

Status is output: gitcd writes it, compares it with what it would write, and never decides anything by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gitcd.model.fields import Doc, Items, Number, Text

MAX_MESSAGE = 4096

# The fields that follow from a plan; the others tell of rollouts.
OWNED = ("observedGeneration", "conditions", "resolved")

Time = Annotated[str, Text(max=64)]
Short = Annotated[str, Text(max=256)]
DigestText = Annotated[str, Text(max=128)]


@dataclass(frozen=True, slots=True)
class Condition:
    type: Annotated[str, Text(r"[A-Z][A-Za-z]*", min=1, max=64), Doc("Ready, Reconciling, Stalled or Verified.")]
    status: Annotated[str, Text(r"True|False|Unknown", max=8), Doc("True, False or Unknown.")]
    reason: Annotated[str, Text(r"[A-Z][A-Za-z0-9]*", min=1, max=128), Doc("Why, as one word in CamelCase.")]
    last_transition_time: Annotated[Time, Doc("When the condition last went from one status to another.")]
    message: Annotated[str, Text(max=MAX_MESSAGE), Doc("Why, for people.")] = ""
    observed_generation: Annotated[
        int, Number(min=0), Doc("The generation of the object that the condition is about.")
    ] = 0


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    tag: Annotated[Short, Doc("The tag that was followed.")] = ""
    version: Annotated[Short, Doc("The version found on the same digest; empty where the pin needs none.")] = ""
    digest: Annotated[DigestText, Doc("The digest that the tag names.")] = ""
    pushed_at: Annotated[Time, Doc("When that image was pushed to the registry.")] = ""


@dataclass(frozen=True, slots=True)
class AppliedImage:
    version: Annotated[Short, Doc("The version.")] = ""
    digest: Annotated[DigestText, Doc("The digest.")] = ""
    commit: Annotated[Short, Doc("The commit of the config repository that says so.")] = ""
    time: Annotated[Time, Doc("When.")] = ""


@dataclass(frozen=True, slots=True)
class CheckProgress:
    check: Annotated[str, Text(min=1, max=256), Doc("The step, and the number of the check in it.")]
    of: Annotated[Short, Doc("A hash of the check and the digest: figures of another one do not count.")] = ""
    started_at: Annotated[Time, Doc("When it was measured first.")] = ""
    measured_at: Annotated[Time, Doc("When it was measured last.")] = ""
    passed: Annotated[int, Number(min=0), Doc("How often it passed.")] = 0
    failed: Annotated[int, Number(min=0), Doc("How often it failed.")] = 0
    inconclusive: Annotated[int, Number(min=0), Doc("How often nothing could be measured.")] = 0
    in_a_row: Annotated[int, Number(min=0), Doc("How often it passed without a break, up to the last time.")] = 0


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    strategy: Annotated[Short, Doc("The strategy that is being carried out.")] = ""
    step: Annotated[Short, Doc("The step that was begun last.")] = ""
    started_at: Annotated[Time, Doc("When the rollout began.")] = ""
    step_started_at: Annotated[
        Time, Doc("When that step began; absent while it is held up, as no time counts then.")
    ] = ""
    attempt: Annotated[int, Number(min=0), Doc("How often it was begun.")] = 0
    old_digest: Annotated[DigestText, Doc("The digest that ran before.")] = ""
    new_digest: Annotated[DigestText, Doc("The digest that shall run.")] = ""
    version: Annotated[Short, Doc("The version that it is.")] = ""
    commit: Annotated[Short, Doc("The commit that is being rolled out.")] = ""
    checks: Annotated[
        tuple[CheckProgress, ...],
        Items(max=16, unique="check"),
        Doc("What the checks of its last verification have come to, those that one look does not decide."),
    ] = ()


@dataclass(frozen=True, slots=True)
class PastRollout:
    version: Annotated[Short, Doc("The version.")] = ""
    digest: Annotated[DigestText, Doc("The digest.")] = ""
    commit: Annotated[Short, Doc("The commit.")] = ""
    result: Annotated[Short, Doc("How it ended.")] = ""
    message: Annotated[str, Text(max=1024), Doc("Why it ended so, where that was not well.")] = ""
    started_at: Annotated[Time, Doc("When it began.")] = ""
    finished_at: Annotated[Time, Doc("When it ended.")] = ""


@dataclass(frozen=True, slots=True)
class Status:
    observed_generation: Annotated[
        int | None, Number(min=0), Doc("The generation of the object that was planned last.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Items(max=16, unique="type"),
        Doc("Ready: git says what is wanted. Reconciling: it will, by itself. Stalled: a person has to act."),
    ] = ()
    resolved: Annotated[ResolvedImage | None, Doc("What the followed tag names, as the registry said.")] = None
    applied: Annotated[AppliedImage | None, Doc("What was taken to the cluster last.")] = None
    last_good: Annotated[AppliedImage | None, Doc("What ran in the cluster and was found healthy.")] = None
    rollout: Annotated[RolloutProgress | None, Doc("The rollout that is under way.")] = None
    history: Annotated[tuple[PastRollout, ...], Items(max=100), Doc("Past rollouts, the latest first.")] = ()
