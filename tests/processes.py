"""Another Python process, for what is decided when torchconv is imported."""

import subprocess
import sys


def python(code, cwd="/", stdin=None, **environment):
    """Runs the code away from this folder, which holds an uncompiled torchconv."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", **environment},
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
    )
