#!/usr/bin/env python3
"""service.py [PORT]: the service behind the proxy. It answers each request with what reached it, as JSON."""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        # A list: whether a header came twice is to be seen.
        told = {"method": self.command, "path": self.path,
                "headers": [[name.lower(), value] for name, value in self.headers.items()]}
        body = (json.dumps(told, indent=1) + "\n").encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("cache-control", "max-age=60")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 10001
    server = ThreadingHTTPServer(("127.0.0.1", port), Echo)
    server.daemon_threads = True
    print(f"serving on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
