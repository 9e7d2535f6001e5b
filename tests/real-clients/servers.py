"""What the clients talk to: the programs of this workspace, and an upstream behind them."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Far longer than anything takes, so that only what would never happen fails by it.
DEADLINE = 60  # seconds


def until(done, step):
    """Takes steps until it is done, however long each takes."""
    give_up = time.monotonic() + DEADLINE
    while not done():
        if time.monotonic() > give_up:
            raise AssertionError(f"was not done in {DEADLINE} s")
        step()


class Program:
    """A program of ours, started as a user starts it; stopped when the test is over."""

    def __init__(self, test: unittest.TestCase, name: str, *arguments: str):
        log = tempfile.TemporaryFile()
        test.addCleanup(log.close)
        self.process = subprocess.Popen(
            [str(Path(os.environ["PROGRAMS"], name)), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        test.addCleanup(self._stop)
        # Read to the end, lest the program wait for somebody who does.
        first = queue.Queue()
        threading.Thread(target=lambda: [first.put(line) for line in self.process.stdout], daemon=True).start()
        greeting = "listening on http://"
        try:
            line = first.get(timeout=DEADLINE)
        except queue.Empty:
            line = ""
        if not line.startswith(greeting):
            log.seek(0)
            raise AssertionError(f"{name} said {line!r} in place of {greeting!r}...: {log.read().decode()}")
        self.address = line.removeprefix(greeting).strip()
        self.url = f"http://{self.address}"

    def _stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def gateway(test: unittest.TestCase, upstream: str, config: str) -> Program:
    """A gateway before `upstream`, a URL or a table of TOML; as `config` says, with retries and circuits, and with no limit by address."""
    file = tempfile.NamedTemporaryFile("w", suffix=".toml")
    test.addCleanup(file.close)
    if not upstream.startswith("{"):
        upstream = f'{{ url = "{upstream}" }}'
    file.write(f'listen = "127.0.0.1:0"\nupstreams = [{upstream}]\n[retry]\n[circuit_breaker]\n{config}\n')
    file.flush()
    return Program(test, "gateway", "--config", file.name)


class ChatUpstream:
    """Chat completions as OpenAI's API has them: the answer is the question, at once or word by word."""

    def __init__(self, test: unittest.TestCase):
        self._lock = threading.Lock()
        self.asked = []  # what was asked, in the order in which it came
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Or each answer's second write waits for the acknowledgement of its first.
            disable_nagle_algorithm = True

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = request["messages"][-1]["content"]
                with upstream._lock:
                    upstream.asked.append(content)
                if request.get("stream"):
                    self._stream(content.split())
                else:
                    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
                    self._answer("application/json", json.dumps(_completion("chat.completion", choice)).encode())

            def do_GET(self):
                with upstream._lock:
                    upstream.asked.append(self.path)
                self._answer("text/plain", self.path.encode())

            def _answer(self, kind, body):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self, words):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                choices = [{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None} for word in words]
                events = [json.dumps(_completion("chat.completion.chunk", choice)) for choice in choices]
                for event in [*events, "[DONE]"]:
                    chunk = f"data: {event}\n\n".encode()
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # A burst is all there at once.
            request_queue_size = 128

        server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        # The last that is registered is the first that is done.
        test.addCleanup(server.server_close)
        test.addCleanup(thread.join)
        test.addCleanup(server.shutdown)


def _completion(kind: str, choice: dict) -> dict:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "echo", "choices": [choice]}
