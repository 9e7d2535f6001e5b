"""A gRPC client in Python understands a refusal as the status that it is, with the time to wait."""

import time
import unittest

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from servers import DEADLINE, Program, gateway, until


class Grpc(unittest.TestCase):
    def test_a_service_refuses(self):
        server = Program(self, "grpc-server", "127.0.0.1:0")
        self.assert_refuses(server.address, limit="per-ip", longest=2)

    def test_the_gateway_refuses(self):
        upstream = f'{{ url = "{Program(self, "grpc-server", "127.0.0.1:0").url}", http2 = true }}'
        limit = 'path = "/hello.Greeter"\nquota = "1/3s burst 1"\nby = "all"'
        server = gateway(self, upstream, f"[[limits.routes]]\n{limit}")
        self.assert_refuses(server.address, limit="per-route", longest=3)

    def assert_refuses(self, address: str, limit: str, longest: float):
        greeter = Greeter(self, address)
        errors = []

        def greet():
            try:
                self.assertEqual(greeter.hello("you"), "hello you")
            except grpc.RpcError as error:
                errors.append(error)

        until(lambda: errors, greet)
        [refused] = errors
        self.assertEqual(refused.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn(limit, refused.details())

        status = rpc_status.from_call(refused)
        self.assertIsNotNone(status, "no google.rpc.Status came with it")
        self.assertEqual(status.code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
        self.assertEqual(status.message, refused.details())
        [detail] = status.details
        info = RetryInfo()
        self.assertTrue(detail.Unpack(info), detail.type_url)
        wait = info.retry_delay.ToTimedelta().total_seconds()
        self.assertGreater(wait, 0)
        self.assertLessEqual(wait, longest)

        time.sleep(wait)
        self.assertEqual(greeter.hello("again"), "hello again")


class Greeter:
    """The service of examples/grpc. Its messages are a text at field 1, as this type of protobuf's own is."""

    def __init__(self, test: unittest.TestCase, address: str):
        channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])
        test.addCleanup(channel.close)
        self._say_hello = channel.unary_unary(
            "/hello.Greeter/SayHello",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )

    def hello(self, name: str) -> str:
        return self._say_hello(StringValue(value=name), timeout=DEADLINE, wait_for_ready=True).value
