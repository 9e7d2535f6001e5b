"""Runs the tests beside this file, and sums them up in the words of Rust's test runner, for scripts/test to count."""

import faulthandler
import os
import sys
import unittest
from pathlib import Path

# A client that waits for ever must not: then every thread says where it stands, and the program ends.
LONGEST = 300  # seconds


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: run.py FOLDER-OF-THE-PROGRAMS", file=sys.stderr)
        return 2
    os.environ["PROGRAMS"] = sys.argv[1]
    # All of it is on this machine, whatever proxy the user has for other places.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    faulthandler.dump_traceback_later(LONGEST, exit=True)

    tests = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    ignored = len(result.skipped) + len(result.expectedFailures)
    passed = result.testsRun - failed - ignored
    ok = failed == 0 and ignored == 0 and passed > 0
    print(f"test result: {'ok' if ok else 'FAILED'}. {passed} passed; {failed} failed; {ignored} ignored")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
