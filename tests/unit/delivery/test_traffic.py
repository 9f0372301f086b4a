"""Which of the requests that a pod has counted are somebody's."""

from __future__ import annotations

from components.model import Probes, Service
from delivery.releases.traffic import count_requests

EXPOSITION = """\
# HELP http_requests_total Requests answered.
# TYPE http_requests_total counter
http_requests_total{code="200",release="0123456789ab",route="/"} 41.0
http_requests_total{code="500",release="0123456789ab",route="/"} 1.0
http_requests_total{code="404",release="0123456789ab",route="unmatched"} 2.0
http_requests_total{code="200",release="0123456789ab",route="/readyz"} 600.0
http_requests_total{code="200",release="0123456789ab",route="/healthz"} 60.0
http_requests_total{code="200",release="0123456789ab",route="/metrics"} 40.0
http_requests_created{code="200",release="0123456789ab",route="/"} 1.7e+09
http_request_duration_seconds_count{code="200",release="0123456789ab",route="/"} 41.0
service_info{release="0123456789ab"} 1.0
"""


def test_probes_and_scrapes_are_no_requests_of_anybody() -> None:
    assert count_requests(EXPOSITION, Service()) == 44


def test_probes_are_those_that_the_service_is_configured_with() -> None:
    probes = Probes(startup="/", readiness="/", liveness="/")
    assert count_requests(EXPOSITION, Service(probes=probes)) == 662


def test_whoever_counts_nothing_had_none() -> None:
    assert count_requests("", Service()) == 0
    assert count_requests("<html>not found</html>", Service()) == 0
    assert count_requests('http_requests_total{code="200"} 3', Service()) == 3
