"""A service's own rules: files of Prometheus beside the stack file, for what only its team knows of it.

One file serves all environments: `${environment}` and `${service}` in it stand for the names. Prometheus sees the
metrics of all environments at once, so each series that a rule reads must be narrowed to its own, or prod's alert would
fire for test. What the rules give carries both names, and so finds its way to people like all other alerts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import promql_parser
import pulumi
import pulumi_kubernetes as k8s
import yaml
from promql_parser import VectorSelector

from adapters.errors import BadInput
from components import labels
from components.environment import Environment
from components.monitoring.names import RULES_LABEL
from components.monitoring.rules import RuleFile
from components.monitoring.sources import selectors

_OWN = ("environment", "namespace")


@dataclass(frozen=True)
class OwnRulesArgs:
    """`files` are the texts by the name under which Prometheus has them; see `read`."""

    service: str
    files: Mapping[str, str]
    environment: Environment
    namespace: str


class OwnRules(pulumi.ComponentResource):
    """A ConfigMap of the environment that Prometheus finds by its label."""

    def __init__(self, name: str, args: OwnRulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:OwnRules", name, None, opts)
        self.config_map = k8s.core.v1.ConfigMap(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=name,
                namespace=args.namespace,
                labels=labels.standard(args.service, "rules")
                | {labels.ENVIRONMENT: args.namespace, RULES_LABEL: "true"},
            ),
            data=dict(args.files),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.environment]),
        )
        self.register_outputs({})


def read(directory: Path, paths: Sequence[str], environment: str, service: str) -> Mapping[str, str]:
    """The files at `paths` below `directory`, checked and made the environment's own, by their names for Prometheus.

    Raises `BadInput` with file and line for whatever Prometheus could not use, or would use for other environments.
    """
    key = f"slipway:services.{service}.rules"
    texts = {path: _text(directory / path, f"{key}[{index}]") for index, path in enumerate(paths)}
    # Prometheus keeps the files of all environments in one folder.
    return {
        f"{environment}-{service}-{path.replace('/', '-')}": _made_own(path, text, environment, service)
        for path, text in texts.items()
    }


def _text(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(
            f"the service's rules cannot be read: {reason}",
            where=f"{key}, {path}",
            allowed="a file of Prometheus' rules; its path is relative to the stack file",
        ) from None


def _made_own(path: str, text: str, environment: str, service: str) -> str:
    names = {"environment": environment, "service": service}
    for name, value in names.items():
        text = text.replace(f"${{{name}}}", value)
    file = RuleFile.parse(path, text)
    for at, group in enumerate(file.groups):
        for index, rule in enumerate(group.rules):
            for selector in _of_all_environments(rule.expr, environment):
                raise BadInput(
                    f"the rule reads {selector.name or 'series'} of every environment",
                    where=file.place(("groups", at, "rules", index, "expr")),
                    allowed=f"each selector names one of {' and '.join(_OWN)} with `=`",
                    fix='Add environment="${environment}" to it',
                )
    document = yaml.load(text, yaml.CSafeLoader)
    for group in document["groups"]:
        group["labels"] = names | group.get("labels", {})
    return yaml.safe_dump(document, sort_keys=False, width=1000, allow_unicode=True)


def _of_all_environments(expression: str, environment: str) -> Iterator[VectorSelector]:
    for selector in selectors(expression):
        chosen = {m.name: m.value for m in selector.matchers.matchers if m.op == promql_parser.MatchOp.Equal}
        if environment not in (chosen.get(name) for name in _OWN):
            yield selector
