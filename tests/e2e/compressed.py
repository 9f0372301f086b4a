"""The platform's own rules in fast motion: the same expressions and thresholds, with every length of time divided.

So an alert that waits for five minutes is seen after seconds, and what is tested is the rule that is deployed. Names of
recorded series get a prefix, since those of the real rules are there beside them. One thing has its own time: how soon
Kubernetes starts again what crashes; so windows over counts of restarts stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

FACTOR = 20
LABEL = {"compressed": "true"}
_RANGE = re.compile(r"(?<!restarts:count)\[([0-9a-z]+)\]|(?<=offset )([0-9a-z]+)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def compressed(files: Mapping[str, str]) -> dict[str, str]:
    """The rule files with every window, offset and `for` divided by `FACTOR`, evaluated each second."""
    documents = {name: yaml.safe_load(text) for name, text in files.items()}
    rules = [rule for document in documents.values() for group in document["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        _compress(rule, recorded)
    for document in documents.values():
        for group in document["groups"]:
            group["interval"] = "1s"
    return {f"compressed-{name}": yaml.safe_dump(document) for name, document in documents.items()}


def _compress(rule: dict[str, Any], recorded: set[str]) -> None:
    rule["expr"] = _RANGE.sub(_shorter, rule["expr"])
    for name in recorded:
        rule["expr"] = re.sub(rf"(?<![\w:]){name}(?![\w:])", f"compressed:{name}", rule["expr"])
    if "record" in rule:
        rule["record"] = f"compressed:{rule['record']}"
        return
    rule["labels"] = rule.get("labels", {}) | LABEL
    for key in {"for", "keep_firing_for"} & rule.keys():
        rule[key] = _divided(rule[key])


def _shorter(found: re.Match[str]) -> str:
    return f"[{_divided(found[1])}]" if found[1] else _divided(found[2])


def _divided(duration: str) -> str:
    parts = re.findall(r"([0-9]+)(ms|s|m|h|d)", duration)
    return f"{round(1000 * sum(int(number) * _SECONDS[unit] for number, unit in parts) / FACTOR)}ms"
