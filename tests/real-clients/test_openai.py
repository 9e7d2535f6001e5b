"""OpenAI's Python package gets through limits by what the gateway's refusals say, and by nothing else."""

import itertools
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import openai

from servers import DEADLINE, ChatUpstream, gateway, until


class OpenAi(unittest.TestCase):
    def test_one_retry_is_enough_since_the_refusal_says_when(self):
        # Its own first delay is at most half a second, with which a second retry would be needed.
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "1/2s burst 1"')
        calls = Calls(server, retries=1)
        until(lambda: calls.count(429) == 1, lambda: self.assertEqual(calls.ask("a question"), "a question"))
        self.assertEqual([answer.status for answer in calls.answers][-2:], [429, 200])
        self.assertEqual(len(upstream.asked), calls.count(200), "what was refused went upstream")
        calls.assert_waited(self)

    def test_a_burst_gets_through(self):
        questions = [f"question {n}" for n in range(8)]
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "2/s burst 2"')
        # Whoever came back in time is refused again only if another took its place, and each does so once.
        calls = Calls(server, retries=len(questions))
        with ThreadPoolExecutor(len(questions)) as pool:
            answers = list(pool.map(calls.ask, questions))
        self.assertEqual(answers, questions)
        self.assertEqual(sorted(upstream.asked), questions, "what was refused went upstream")
        self.assertEqual(calls.count(200), len(questions))
        self.assertGreater(calls.count(429), 0, "nothing was refused")
        calls.assert_waited(self)

    def test_a_stream_gets_through(self):
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "1/s burst 1"')
        calls = Calls(server, retries=1)
        until(
            lambda: calls.count(429) == 1,
            lambda: self.assertEqual(calls.ask("one two three", stream=True), "one two three "),
        )
        calls.assert_waited(self)

    def test_a_refusal_is_a_rate_limit_error(self):
        upstream = ChatUpstream(self)
        server = gateway(self, upstream.url, '[limits.per_key]\nquota = "1/h"')
        calls = Calls(server, retries=0)
        calls.ask("first")
        with self.assertRaises(openai.RateLimitError) as refused:
            calls.ask("second")
        error = refused.exception
        self.assertEqual(error.status_code, 429)
        self.assertEqual((error.code, error.type), ("rate_limit_exceeded", "requests"))
        self.assertIn("quota is used up", error.message)
        self.assertGreater(int(error.response.headers["retry-after"]), 3_000)


class Answer:
    def __init__(self, status: int, wait: float | None, began: float, ended: float):
        self.status = status
        self.wait = wait  # seconds, as the package reads them
        self.began = began
        self.ended = ended


class Calls:
    """Calls of one API key, and every answer that they got."""

    def __init__(self, server, retries: int):
        self.answers = []
        self._lock = threading.Lock()
        self._of_call = {}
        self._number = itertools.count()
        http = openai.DefaultHttpx2Client(event_hooks={"request": [self._began], "response": [self._ended]})
        self._client = openai.OpenAI(
            base_url=f"{server.url}/v1", api_key="a-key", max_retries=retries, timeout=DEADLINE, http_client=http
        )

    def ask(self, question: str, stream: bool = False) -> str:
        answer = self._client.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": question}],
            stream=stream,
            extra_headers={"X-Call": str(next(self._number))},
        )
        if not stream:
            return answer.choices[0].message.content
        with answer as chunks:
            return "".join(chunk.choices[0].delta.content for chunk in chunks)

    def count(self, status: int) -> int:
        return sum(answer.status == status for answer in self.answers)

    def assert_waited(self, test: unittest.TestCase):
        """That nobody was back before its time, which every refusal told."""
        for answers in self._of_call.values():
            for refused, following in zip(answers, answers[1:]):
                test.assertEqual(refused.status, 429)
                test.assertIsNotNone(refused.wait, "a refusal did not say for how long")
                test.assertGreaterEqual(following.began - refused.ended, refused.wait)

    def _began(self, request):
        request.extensions["began"] = time.monotonic()

    def _ended(self, response):
        millis, seconds = response.headers.get("retry-after-ms"), response.headers.get("retry-after")
        if millis is not None:
            wait = int(millis) / 1_000
        else:
            wait = None if seconds is None else int(seconds)
        answer = Answer(response.status_code, wait, response.request.extensions["began"], time.monotonic())
        with self._lock:
            self.answers.append(answer)
            self._of_call.setdefault(response.request.headers["x-call"], []).append(answer)
