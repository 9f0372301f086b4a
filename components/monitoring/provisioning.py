"""What Grafana is told by files: how it runs, where it reads, and where its dashboards are.

Nothing of it is changed by hand: a change in the browser would be lost without a word, so that Grafana refuses it.
"""

from __future__ import annotations

import configparser
import io
from typing import Any

import yaml

PATH = "/etc/grafana/dashboards"
FOLDERS = {"platform": "Platform", "services": "Services"}
"""Directories below `PATH`, and what the folder of their dashboards is called."""

HOME = f"{PATH}/platform/delivery.json"

_SOON_S = 10


def ini(*, port: int, data: str, root_url: str | None) -> str:
    """grafana.ini. Nobody gets in without a password, and nothing is told or asked outside."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_dict(
        {
            "paths": {"data": data, "plugins": f"{data}/plugins", "provisioning": "/etc/grafana/provisioning"},
            "server": {"http_port": port} | ({"root_url": root_url} if root_url else {}),
            "security": {"disable_gravatar": "true"} | ({"cookie_secure": "true"} if _is_tls(root_url) else {}),
            "users": {"allow_sign_up": "false", "allow_org_create": "false"},
            "auth.anonymous": {"enabled": "false"},
            "analytics": {
                "reporting_enabled": "false",
                "check_for_updates": "false",
                "check_for_plugin_updates": "false",
            },
            "news": {"news_feed_enabled": "false"},
            "snapshots": {"external_enabled": "false"},
            "plugins": {"preinstall_disabled": "true", "plugin_admin_enabled": "false"},
            # Alerts are Prometheus' alone: those made by hand here would be in no file.
            "unified_alerting": {"enabled": "false"},
            "dashboards": {"default_home_dashboard_path": HOME},
            "log": {"mode": "console"},
            "log.console": {"format": "json"},
        }
    )
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def data_sources(*, prometheus: str, scrape_seconds: int, alertmanager: str, loki: str | None) -> str:
    """The file of data sources, by the identifiers that dashboards name (`dashboards.drawing`)."""
    found: list[dict[str, Any]] = [
        {
            "name": "Prometheus",
            "type": "prometheus",
            "url": prometheus,
            "isDefault": True,
            # No rate is taken over less than four scrapes.
            "jsonData": {"timeInterval": f"{scrape_seconds}s", "httpMethod": "POST", "manageAlerts": False},
        },
        {
            "name": "Alertmanager",
            "type": "alertmanager",
            "url": alertmanager,
            "jsonData": {"implementation": "prometheus", "handleGrafanaManagedAlerts": False},
        },
    ]
    if loki:
        found.append({"name": "Loki", "type": "loki", "url": loki})
    common = {"access": "proxy", "editable": False}
    sources = [source | common | {"uid": source["type"]} for source in found]
    return yaml.safe_dump({"apiVersion": 1, "prune": True, "datasources": sources}, sort_keys=False)


def dashboard_folders() -> str:
    """The file that says where dashboards are, each directory a folder."""
    providers = [
        {
            "name": name,
            "folder": folder,
            "type": "file",
            "allowUiUpdates": False,
            "updateIntervalSeconds": _SOON_S,
            "options": {"path": f"{PATH}/{name}"},
        }
        for name, folder in FOLDERS.items()
    ]
    return yaml.safe_dump({"apiVersion": 1, "providers": providers}, sort_keys=False)


def _is_tls(root_url: str | None) -> bool:
    return bool(root_url and root_url.startswith("https:"))
