"""The rules as a policy pack of the Pulumi CLI: `pulumi preview --policy-pack policies`.

One policy, since the rules are one source: each violation is reported with its own sentence.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

# The CLI runs this file in its own directory, from which the package that it is part of cannot be seen.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies.rules import violations


def check(resource: ResourceValidationArgs, report: ReportViolation) -> None:
    """Report what a Kubernetes object breaks; other resources have nothing to obey here."""
    if resource.resource_type.startswith("kubernetes:") and "kind" in resource.props:
        for sentence in violations(resource.props):
            report(sentence, None)


RULES = ResourceValidationPolicy(
    name="slipway-rules",
    description="Objects obey the rules of policies/rules.py",
    validate=check,
)

if __name__ == "__main__":
    PolicyPack(name="slipway", policies=[RULES], enforcement_level=EnforcementLevel.MANDATORY)
