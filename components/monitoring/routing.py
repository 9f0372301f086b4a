"""Alertmanager's configuration: who is told of which alert, and when. Secrets are named by their files, never written.

Alerts labelled `action: rollback` have a route of their own, and no other alert inhibits them: whether one is a
consequence of another is for the receiver to judge, which looks at the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.monitoring.model import AlertmanagerModel, Receiver, RollbackWebhook, Route, Webhook
from components.monitoring.names import NAMESPACE, RECEIVER, RECEIVER_PORT
from components.secret import Secret

NOBODY = "nobody"
ROLLBACK, WATCHDOG = "slipway-rollback", "slipway-watchdog"
SECRETS_PATH = "/etc/alertmanager/secrets"
_DEPLOYED_HERE = f"http://{RECEIVER}.{NAMESPACE}.svc:{RECEIVER_PORT}/alerts"

Config = dict[str, Any]


def configuration(shape: AlertmanagerModel) -> Config:
    """The configuration file, as a mapping."""
    return {
        "route": {
            "receiver": _receiver_name(shape.default),
            "group_by": ["alertname", "environment", "service"],
            "group_wait": f"{shape.group_wait_seconds}s",
            "group_interval": f"{shape.group_interval_seconds}s",
            "repeat_interval": f"{shape.repeat_hours}h",
            "routes": [*_own_routes(shape), *(_route(route) for route in shape.routes)],
        },
        "inhibit_rules": _inhibitions(),
        "receivers": [
            {"name": NOBODY},
            *({"name": _receiver_name(name)} | _ways(name, receiver) for name, receiver in shape.receivers.items()),
            *(
                {"name": name, "webhook_configs": [_webhook(name, webhook)]}
                for name, webhook in _own_receivers(shape).items()
            ),
        ],
    }


def secrets(shape: AlertmanagerModel) -> dict[str, Secret]:
    """The files that the configuration names, each with the secret it holds."""
    found: dict[str, Secret | None] = {}
    for name, receiver in shape.receivers.items():
        found |= _webhook_secrets(name, receiver.webhook)
        found[f"{name}-email-password"] = receiver.email.password if receiver.email else None
        found[f"{name}-slack-url"] = receiver.slack.url if receiver.slack else None
        found[f"{name}-pagerduty-key"] = receiver.pager_duty.routing_key if receiver.pager_duty else None
    for name, webhook in _own_receivers(shape).items():
        found |= _webhook_secrets(name, webhook)
    return {file: secret for file, secret in found.items() if secret is not None}


def _own_receivers(shape: AlertmanagerModel) -> dict[str, Webhook | RollbackWebhook]:
    pairs: tuple[tuple[str, Webhook | RollbackWebhook | None], ...] = (
        (ROLLBACK, shape.rollback),
        (WATCHDOG, shape.watchdog),
    )
    return {name: webhook for name, webhook in pairs if webhook is not None}


def _own_routes(shape: AlertmanagerModel) -> list[Config]:
    """What does not depend on people: it comes first."""
    minute = {"group_wait": "0s", "group_interval": "10s", "repeat_interval": "1m"}
    own = _own_receivers(shape)
    routes: list[Config] = [
        {"receiver": WATCHDOG if WATCHDOG in own else NOBODY, "matchers": ['alertname="Watchdog"'], **minute}
    ]
    if ROLLBACK in own:
        by = ["environment", "service", "release"]
        matchers = ['action="rollback"']
        routes.append({"receiver": ROLLBACK, "matchers": matchers, "group_by": by, "continue": True, **minute})
    return [*routes, {"receiver": NOBODY, "matchers": ['severity="none"']}]


def _route(route: Route) -> Config:
    wanted = {"severity": route.severity, "environment": route.environment, "team": route.team}
    matchers = [f"{label}={_quoted(value)}" for label, value in wanted.items() if value is not None]
    return {"receiver": _receiver_name(route.receiver)} | ({"matchers": matchers} if matchers else {})


def _inhibitions() -> list[Config]:
    """What needs no telling while something worse is told. An absent label equals an absent one, hence the `.+`."""
    a_service = ['environment=~".+"', 'service=~".+"']
    people = 'action=""'
    return [
        {
            "source_matchers": ['severity="critical"', *a_service],
            "target_matchers": ['severity="warning"', people, *a_service],
            "equal": ["environment", "service"],
        },
        {
            "source_matchers": ['alertname=~"ErrorBudgetBurn.*"', *a_service],
            "target_matchers": ['alertname=~"ErrorRatioHigh|LatencyHigh"', people, *a_service],
            "equal": ["environment", "service"],
        },
        {
            "source_matchers": ['alertname="NodeNotReady"', 'node=~".+"'],
            "target_matchers": ['alertname!="NodeNotReady"', people, 'node=~".+"'],
            "equal": ["node"],
        },
    ]


def _ways(name: str, receiver: Receiver) -> Config:
    ways: Config = {}
    if email := receiver.email:
        ways["email_configs"] = [
            {
                "to": email.to,
                "from": email.sender,
                "smarthost": email.smarthost,
                "require_tls": email.require_tls,
                "send_resolved": True,
                **({"auth_username": email.username} if email.username else {}),
                **({"auth_password_file": _file(f"{name}-email-password")} if email.password else {}),
            }
        ]
    if slack := receiver.slack:
        channel = {"channel": slack.channel} if slack.channel else {}
        ways["slack_configs"] = [{"api_url_file": _file(f"{name}-slack-url"), "send_resolved": True, **channel}]
    if receiver.pager_duty:
        ways["pagerduty_configs"] = [{"routing_key_file": _file(f"{name}-pagerduty-key"), "send_resolved": True}]
    if receiver.webhook:
        ways["webhook_configs"] = [_webhook(name, receiver.webhook)]
    return ways


def _webhook(name: str, webhook: Webhook | RollbackWebhook) -> Config:
    url = {"url_file": _file(f"{name}-webhook-url")} if webhook.url else {"url": _DEPLOYED_HERE}
    config: Config = {**url, "send_resolved": True}
    if webhook.token:
        credentials = {"type": "Bearer", "credentials_file": _file(f"{name}-webhook-token")}
        config["http_config"] = {"authorization": credentials}
    return config


def _webhook_secrets(name: str, webhook: Webhook | RollbackWebhook | None) -> Mapping[str, Secret | None]:
    if webhook is None:
        return {}
    return {f"{name}-webhook-url": webhook.url, f"{name}-webhook-token": webhook.token}


def _receiver_name(name: str | None) -> str:
    """Ours begin with `slipway-`; a team's may be called as it likes."""
    return NOBODY if name is None else f"team-{name}"


def _file(name: str) -> str:
    return f"{SECRETS_PATH}/{name}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
