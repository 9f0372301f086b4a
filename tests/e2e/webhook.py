"""A webhook that prints what it is sent, a JSON object a request. Arguments: address, port, token."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Takes what comes with the right token, and says so."""

    def do_POST(self) -> None:
        """Answers 200 to whoever knows the token, 401 to others."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.headers["Authorization"] == f"Bearer {sys.argv[3]}"
        print(json.dumps({"path": self.path, "known": known, "body": body}), flush=True)
        self.send_response(200 if known else 401)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing but what was received is told."""


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    print("started", flush=True)
    server.serve_forever()
