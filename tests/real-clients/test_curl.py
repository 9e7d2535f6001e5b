"""curl gets through limits with `--retry`, and talks HTTP/2 without asking first.

curl obeys `Retry-After` since 7.66, with `--fail` since 7.75, and where its own delay (a second, doubled each time) is
the longer one, it waits that. Seconds are the form to send: 7.88 takes a date that is past by the time it is read for a
negative wait, and sleeps for ever. A 429 is one of the statuses that `--retry` is for; `--retry-all-errors`, which with
`--fail` adds such as 403, is not needed here.
"""

import re
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from servers import DEADLINE, ChatUpstream, gateway, until

HTTP1 = "--http1.1"
HTTP2 = "--http2-prior-knowledge"


class Curl(unittest.TestCase):
    def test_one_retry_is_enough_since_the_refusal_says_when(self):
        # Its own first delay is a second, with which two more retries would be needed.
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "1/3s burst 1"')
        runs = []
        until(
            lambda: runs and runs[-1].statuses != [200],
            lambda: runs.append(Asked(HTTP1, f"{server.url}/path", "--retry", "1")),
        )
        self.assertEqual((runs[-1].statuses, runs[-1].body), ([429, 200], "/path"))
        runs[-1].assert_waited(self)
        self.assertEqual(len(upstream.asked), len(runs), "what was refused went upstream")

    def test_a_burst_gets_through(self):
        paths = [f"/{n}" for n in range(6)]
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "2/s burst 2"')
        # Whoever came back in time is refused again only if another took its place, and each does so once.
        retries = ["--retry", str(len(paths))]
        with ThreadPoolExecutor(len(paths)) as pool:
            all_asked = list(pool.map(lambda path: Asked(HTTP1, server.url + path, *retries), paths))
        for path, asked in zip(paths, all_asked):
            self.assertEqual((asked.statuses[-1], asked.body), (200, path))
            self.assertEqual(set(asked.statuses[:-1]) - {429}, set())
            asked.assert_waited(self)
        self.assertTrue(any(asked.statuses[0] == 429 for asked in all_asked), "nothing was refused")
        self.assertEqual(sorted(upstream.asked), paths, "what was refused went upstream")

    def test_http2_with_prior_knowledge(self):
        # A run for each request: curl 7.88, which is Debian 12's, breaks such a connection by using it again.
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "1/2s burst 1"')
        runs = []
        ask = lambda: runs.append(Asked(HTTP2, f"{server.url}/path"))
        until(lambda: runs and runs[-1].statuses != [200], ask)
        self.assertEqual(runs[-1].statuses, [429])
        [wait] = runs[-1].waits
        time.sleep(wait)
        ask()
        self.assertEqual((runs[-1].statuses, runs[-1].body), ([200], "/path"))
        self.assertEqual({run.version for run in runs}, {"2"})
        self.assertEqual(len(upstream.asked), len(runs) - 1, "what was refused went upstream")

    def test_a_stream_over_http2(self):
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, "")
        events = curl(
            HTTP2, "--no-buffer", "--header", "Content-Type: application/json",
            "--data", '{"stream": true, "messages": [{"role": "user", "content": "one two"}]}',
            f"{server.url}/v1/chat/completions",
        ).stdout
        self.assertEqual(re.findall(r'"content": "(\w+) "', events), ["one", "two"])
        self.assertTrue(events.endswith("data: [DONE]\n\n"), events)


class Asked:
    """One run of curl, which keeps the head of every answer."""

    def __init__(self, version: str, url: str, *arguments: str):
        with tempfile.TemporaryDirectory() as folder:
            body = Path(folder, "body")
            began = time.monotonic()
            # Heads come on stderr: a file of them would begin anew with each retry.
            run = curl(
                version, "--verbose", "--header", "Authorization: Bearer a-key", "--output", str(body),
                "--write-out", "%{http_version}", *arguments, url,
            )
            self.took = time.monotonic() - began
            self.body = body.read_text()
        self.version = run.stdout
        self.statuses = [int(status) for status in re.findall(r"^< HTTP/[0-9.]+ (\d+)", run.stderr, re.MULTILINE)]
        self.waits = [int(wait) for wait in re.findall(r"^< retry-after: (\d+)", run.stderr, re.MULTILINE)]

    def assert_waited(self, test: unittest.TestCase):
        """That it was not back before its time, which every refusal told."""
        test.assertEqual(len(self.waits), self.statuses.count(429), "a refusal did not say for how long")
        test.assertGreaterEqual(self.took, sum(self.waits))


def curl(*arguments: str) -> subprocess.CompletedProcess:
    # What is in the user's ~/.curlrc is not ours to try.
    command = ["curl", "--disable", "--no-progress-meter", "--max-time", str(DEADLINE), *arguments]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * DEADLINE)
    if run.returncode != 0:
        raise AssertionError(f"curl ended with {run.returncode}: {run.stderr}")
    return run
