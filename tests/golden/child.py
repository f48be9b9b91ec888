"""A child program for the gate's tests: behaves as its first argument says."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import time
from pathlib import Path

import golden.compare
import golden.record_stored
from convert.errors import PassRefusedError
from golden import program
from tests.golden.fakes import DyingTarget, FakeRunner, FakeTarget, stored_of


def behave(options):
    """Print some last words and end in the way that was asked for."""
    sys.stderr.write("some words\nthe last words\n")
    sys.stderr.flush()
    if options.how in ("SIGABRT", "SIGSEGV", "SIGKILL"):
        faulthandler.disable()
        os.kill(os.getpid(), getattr(signal, options.how))
    if options.how == "exception":
        raise RuntimeError("a binding gave up")
    if options.how == "refuse":
        raise PassRefusedError("no such shape", "node_7")
    if options.how == "sleep":
        Path(options.pid).write_text(str(os.getpid()))
        time.sleep(60)
    return 0, {"result": options.how}


def with_fake(arguments):
    """A real program with the fake target in the place of a real one."""
    folder = Path(arguments[0])
    if "--like" in arguments:
        fake = FakeTarget(None, stored_of(folder))
        golden.record_stored.target = lambda name: fake
        return golden.record_stored.main(arguments)
    dies = os.environ.get("TRICAST_TEST_DIES")
    golden.compare.target = lambda name: (
        DyingTarget(None) if dies else FakeTarget(FakeRunner(folder))
    )
    return golden.compare.main(arguments)


if __name__ == "__main__":
    if Path(sys.argv[1]).is_dir():
        sys.exit(with_fake(sys.argv[1:]))
    parser = argparse.ArgumentParser()
    parser.add_argument("how")
    parser.add_argument("--pid")
    program.add_common_options(parser)
    parsed = parser.parse_args()
    sys.exit(program.run(lambda: behave(parsed), parsed))
