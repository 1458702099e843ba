# SPDX-License-Identifier: Apache-2.0
"""Line tables, instruction by instruction, against the interpreter's own."""
import os
import subprocess

import pytest

from conftest import PROGRAM, Target

LINECHECK = os.environ.get("STALLSCOPE_LINECHECK") or os.path.join(os.path.dirname(PROGRAM),
                                                                   "tests/e2e/linecheck")


def test_every_instruction(interpreter):
    if not os.access(LINECHECK, os.X_OK):
        pytest.fail("tests/e2e/linecheck is not built: make check builds it")
    with interpreter.path("lines") as (inside, outside):
        with Target(interpreter, "lines.py", inside) as target:
            result = subprocess.run([LINECHECK, str(target.pid), outside], stdout=subprocess.PIPE,
                                    text=True, timeout=120, check=False)
            assert result.stdout.endswith("%d instructions, 0 mismatches\n"
                                          % target.truth["instructions"]), result.stdout[-2000:]
            assert target.truth["instructions"] > 30000
