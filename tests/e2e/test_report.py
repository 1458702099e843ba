# SPDX-License-Identifier: Apache-2.0
"""report: what recordings of known content add up to, in each format; and files that are none."""
import html.parser
import json
import os
import re
import resource

import pytest

import recordings as rec
import schema
from conftest import ORDINARY, Target, dump, run


def report(*args, status=0):
    result = run("report", "-f", "json", *args)
    assert result.returncode == status, result.stderr
    document = json.loads(result.stdout)
    schema.REPORT.validate(document)
    return document


@pytest.fixture
def two_hosts(tmp_path):
    """The same mistake on two hosts, another one on the first."""
    first = [rec.hello()] + [rec.light(i * 0.1, lag=i / 1000, tasks=3 + i) for i in range(100)]
    first += [rec.stall(1 + i, 0.2 + i / 10) for i in range(5)]
    first += [rec.stall(8, 0.3, "render", fingerprint="00000000000000bb", kind="cpu.json")]
    first += [{**rec.snapshot(9, groups=[rec.group(7)]), "type": "snapshot"},
              {**rec.snapshot(9.5, groups=[rec.group(9), rec.group(2, "write", 7, "asyncio.sleep")]), "type": "snapshot"},
              rec.bye(10)]
    second = [rec.hello(host="web-2"), rec.light(0), rec.stall(2, 1.0, host="web-2"), rec.light(10), rec.bye(10)]
    return rec.write(tmp_path / "1.jsonl", *first), rec.write(tmp_path / "2.jsonl", *second)


def test_sums(two_hosts):
    document = report(*two_hosts)
    price, render = document["holders"]
    assert (price["function"], price["hosts"], price["held"]["count"]) == ("price", 2, 6)
    assert price["held"]["sum_s"] == pytest.approx(3.0) and price["held"]["max_s"] == 1.0
    assert price["held"]["p50_s"] == pytest.approx(0.4) and price["share_ratio"] == pytest.approx(3 / 3.3)
    assert (render["function"], render["hosts"], render["kind"]) == ("render", 1, "cpu.json")
    assert [f["function"] for f in price["worst_stack"]] == ["price", "main"]
    assert document["stalls_total"] == 7 and document["stalls"][0]["held_s"] == 1.0
    assert document["held_s"] == pytest.approx(3.3) and document["observed_s"] == pytest.approx(19.9)
    first, second = document["loops"]
    assert (first["host"], first["looks"], first["stalls"]) == ("web-1", 102, 6)
    assert first["lag"]["p99_s"] == pytest.approx(0.098) and first["lag"]["max_s"] == 0.099
    assert first["tasks"] == {"first": 3, "last": 3, "most": 102}
    assert second["host"] == "web-2" and second["held_s"] == 1.0
    read, write = document["groups"]
    assert (read["first"], read["last"], read["most"]) == (7, 9, 9)
    assert (write["first"], write["last"], write["title"]) == (0, 2, "asyncio.sleep")
    assert all(file["whole"] for file in document["files"]) and document["left_out"] == 0


def test_stall_in_two_files(two_hosts, tmp_path):
    """Of two who watched one process, who saw more of a stall is believed; another stall is another."""
    other = rec.write(tmp_path / "3.jsonl", rec.hello(), rec.stall(1, 0.25), rec.stall(2.15, 0.3))
    document = report(two_hosts[0], other, two_hosts[0])
    assert document["stalls_total"] == 7 and document["held_s"] == pytest.approx(2.3 + 0.05 + 0.3)
    assert document["loops"][0]["stalls"] == 7


def words(*files):
    """Text of a report, wherever its lines are broken."""
    return " ".join(run("report", *files).stdout.split())


def test_text_and_markdown(two_hosts):
    text = run("report", *two_hosts).stdout
    assert text.startswith("stallscope: report of 2 files, 2 hosts, 2 loops\n")
    assert re.search(r"^ +91 %  3.00 s +6 +400 ms .* 2\n +price .*blocked.sleep: time.sleep +00000000000000aa$", text, re.M)
    wide = run("report", *two_hosts, env={**os.environ, "COLUMNS": "200"}).stdout
    assert re.search(r"^ +91 %  3.00 s +6 +400 ms .* price .*blocked.sleep: time.sleep +00000000000000aa +2$", wide, re.M)
    markdown = run("report", "-f", "md", *two_hosts).stdout
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows if "price" in line and "blocked" in line} == {11, 7}
    assert "| 91 % | 3.00 s | 6 |" in markdown


def test_columns(tmp_path):
    """No row is longer than 80 columns, or than what COLUMNS says, and no number is cut."""
    name = "Shop\u00e9.price_of_all_the_things_in_this_basket"
    file = rec.write(tmp_path / ("f" * 90), rec.hello(host="web-" + "x" * 40), *[rec.light(i, lag=1234.5, tasks=10 ** 6) for i in range(9)],
                     rec.stall(1, 1234.5, name, host="web-" + "x" * 40), "{", {**rec.snapshot(9, groups=[rec.group(10 ** 6, name)]), "type": "snapshot"})
    for columns, environment in ((80, {}), (80, {"COLUMNS": "nonsense"}), (80, {"COLUMNS": "0"}), (72, {"COLUMNS": "72"}),
                                 (130, {"COLUMNS": "130"}), (80, {"LC_ALL": "C"})):
        text = run("report", file, env={**os.environ, **environment}).stdout
        rows = [line for line in text.splitlines() if str(file) not in line]
        assert max(map(len, rows)) <= columns and text.count("1234 s") >= 8 and text.count("1000000") >= 4
        assert "Shop" in text and "srv/app.py:" in text and "00000000000000aa" in text
        assert text.isascii() == ("LC_ALL" in environment)
    text = run("diff", file, file, "-v").stdout
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_without_a_command(two_hosts, tmp_path):
    """Where there is no terminal, recordings without a command are reported; dump says what they are."""
    assert run(*two_hosts).stdout == run("report", *two_hosts).stdout
    assert json.loads(run(*two_hosts, "-f", "json").stdout)["type"] == "report"
    result = run("dump", two_hosts[0])
    assert result.returncode == 69 and "a recording is for stallscope report" in result.stderr
    assert run(two_hosts[0], "--locals").stderr == result.stderr
    assert "stallscope report FILE" in run("view", two_hosts[0]).stderr
    (tmp_path / "no").write_text("no recording")
    assert "is no recording that can be read" in run(tmp_path / "no").stderr


def test_one_is_not_many(tmp_path):
    file = rec.write(tmp_path / "r", rec.hello(), rec.light(0), rec.stall(1, 0.5), rec.light(2), "{", rec.bye(3, missed=1))
    text = words(file)
    assert "in 1 stall: 25.0 % of the time." in text and "1 look could not be taken in time" in text
    assert "5 of 6 lines read" in text and not re.search(r"(?<![\d.])1 (stalls|looks|files|hosts|loops|things)\b", text)


class Page(html.parser.HTMLParser):
    """Each tag is closed by its own, and nothing is asked for from elsewhere."""
    VOID = {"meta", "br", "link", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href", "xlink:href", "onload"} & {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_html(two_hosts, tmp_path):
    result = run("report", "-f", "html", "-o", tmp_path / "page.html", *two_hosts)
    assert result.returncode == 0
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert page.tags.count("svg") == 2 and page.tags.count("table") == 5
    assert "Content-Security-Policy" in text and "url(" not in text and "http:" not in text
    words = " ".join(page.words)
    assert "price" in words and "Stalls and lag over time" in words and "Held time, by stack" in words


def curves(text):
    """Of each loop the moves of its line of lag."""
    return [re.findall(r"[ML][\d.]+ [\d.]+", d) for d in re.findall(r'<path class="lag" d="([^"]*)">', text)]


def test_html_lag(tmp_path):
    """A line for each loop, interrupted where nobody looked, and as long for a day as for an hour."""
    looks = [rec.light(i / 10, lag=i % 7 / 100) for i in range(300)] + [rec.light(i / 10, lag=1.0) for i in range(600, 650)]
    line, = curves(run("report", "-f", "html", rec.write(tmp_path / "r", rec.hello(), *looks, rec.bye(65))).stdout)
    assert [move[0] for move in line].count("M") == 2 and 340 <= len(line) <= 350
    # the lag of the second part, 1 s, is the top of the scale; lines begin at the left
    assert line[0].startswith("M200 ") and len({move.split()[1] for move in line[-20:]}) == 1
    looks = [rec.light(i, lag=0.5 if i == 20000 else 0.002) for i in range(30000)]
    text = run("report", "-f", "html", rec.write(tmp_path / "long", rec.hello(), *looks, rec.bye(30000))).stdout
    line, = curves(text)
    assert 900 < len(line) <= 980 and len(text) < 40000
    top = min(line, key=lambda move: float(move.split()[1]))
    assert int(top[1:].split()[0]) == pytest.approx(200 + 980 * 2 / 3, abs=1)
    assert not curves(run("report", "-f", "html", rec.write(tmp_path / "one", rec.hello(), rec.light(0, lag=0.5), rec.bye(1))).stdout)


def test_html_stall_beyond_the_last_look(tmp_path):
    """It is in the picture, as long as it was."""
    file = rec.write(tmp_path / "r", rec.hello(), rec.light(0), rec.light(1), rec.stall(1, 1.0), rec.bye(1))
    bar, = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="\d+" fill="[^"]*"><title>20', run("report", "-f", "html", file).stdout)
    assert bar == ("690.0", "490.0")


def test_hostile_names(tmp_path):
    """Markup, control characters and lines of a report in what a file says."""
    name = "<script>alert(1)</script>\u202e\x1b[31m|\nHolders"
    file = rec.write(tmp_path / "r", rec.hello(host=name), rec.light(0), rec.stall(1, 0.5, name, host=name), rec.bye(2))
    for kind in ("text", "md", "html", "json"):
        result = run("report", "-f", kind, file)
        assert result.returncode == 0
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", result.stdout)
        assert "\nHolders\n" not in result.stdout.replace("\n\nHolders", "")
    Page(run("report", "-f", "html", file).stdout)
    assert "\\<script\\>" in run("report", "-f", "md", file).stdout


def test_dumps(tmp_path):
    """JSON of dump, as it is, as jq prints it, and as a list: looks at one stall are one stall."""
    looks = [rec.snapshot(i / 2, verdict="STALLED", kind="blocked.sleep", held_s=0.5 + i / 2, lag_s=0.5 + i / 2,
                          who={"qualname": "price", "file": "/srv/app.py", "line": 3}, what={"library": "time", "rule": "x"})
             for i in range(3)]
    for text in ("\n".join(map(json.dumps, looks)), "\n".join(json.dumps(look, indent=2) for look in looks),
                 json.dumps(looks), json.dumps(looks, indent=1)):
        (tmp_path / "d").write_text(text)
        document = report(tmp_path / "d")
        stall, = document["stalls"]
        assert stall["held_s"] == 1.5 and document["loops"][0]["looks"] == 3
        assert document["holders"][0]["fingerprint"] == "97741e9076c4e654"


def test_real_dump_and_recording(tmp_path):
    with Target(ORDINARY, "states.py", "blocked") as target:
        document = dump(target.pid)
        (tmp_path / "d").write_text(json.dumps(document))
        assert run("record", target.pid, "-o", tmp_path / "r", "--interval", "50ms", "--count", 3).returncode == 0
    both = report(tmp_path / "d", tmp_path / "r")
    holder, = both["holders"]
    # one stall, though both have it
    assert holder["held"]["count"] == 1 and holder["fingerprint"] == document["loops"][0]["fingerprint"]
    assert sum(group["last"] for group in both["groups"]) == document["loops"][0]["tasks"]["total"]


# ---- files that are none -----------------------------------------------------------------------------

def test_cut(two_hosts, tmp_path):
    """What is whole is reported, and what is not is told."""
    text = two_hosts[0].read_text()
    (tmp_path / "cut").write_text(text[:-400])
    document = report(tmp_path / "cut")
    file, = document["files"]
    assert file["read"] == file["lines"] - 1 and file["problem"] == "it ends within" and not file["whole"]
    assert "%d of %d lines read; line %d: it ends within" % (file["read"], file["lines"], file["lines"]) in words(tmp_path / "cut")
    (tmp_path / "nobye").write_text("\n".join(text.splitlines()[:-1]) + "\n")
    assert "was cut off" in words(tmp_path / "nobye")


def test_broken_lines(tmp_path):
    file = rec.write(tmp_path / "r", rec.hello(), "{", '{"schema": "stallscope/1", "type": "stall"}', "[]", "nonsense",
                     '{"schema": "stallscope/1", "type": "of the future"}', "", rec.stall(1, 0.5), rec.bye(2))
    document = report(file)
    assert document["files"][0]["lines"] == 8 and document["files"][0]["read"] == 4
    assert document["files"][0]["first_bad_line"] == 2 and document["stalls_total"] == 1


@pytest.mark.parametrize("text, why", [
    (b"", "is empty"), (b"\n \n", "is empty"), (b"hello\n" * 5000, "it is no JSON"), (b"\0" * 100000, "it is no JSON"),
    (b"{}\n", "it has no schema"), (b'{"schema": "other/1"}', "it is not of stallscope"), (b"[1,2]\n", "it is not an object"),
    (b'{"schema": "stallscope/2", "loops": []}', "newer stallscope"), (b"[" * 5000, "it ends within"),
    (b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 100, "it is no JSON")],
    ids="nothing blank words zeros object other list newer cut elf".split())
def test_foreign(tmp_path, text, why):
    (tmp_path / "f").write_bytes(text)
    result = run("report", tmp_path / "f")
    assert result.returncode == 69 and why in result.stderr and not result.stdout


def test_impossible_numbers(tmp_path):
    """A length that cannot be spoils no sum."""
    file = rec.write(tmp_path / "r", rec.hello(), rec.light(0, lag=1e300), rec.light(1, lag=-5.0), rec.light(2, lag=0.25),
                     rec.stall(1, 1e308), rec.stall(2, -1.0), rec.stall(3, 0.5), rec.bye(4))
    document = report(file)
    assert document["held_s"] == 0.5 and document["stalls_total"] == 1 and document["lag"]["max_s"] == 0.25
    assert document["files"][0]["problem"] == "a stall without its length"


def test_impossible_groups(tmp_path):
    """Counts that no memory could hold are no counts; places in two files are two; what is no word is none."""
    one, other, huge = rec.group(3), rec.group(4), rec.group(2 ** 63 - 1, "write")
    for group, file in ((one, "/srv/a.py"), (other, "/srv/b.py")):
        group["where"]["file"] = file
        del group["via"]
    snapshot = rec.snapshot(1, groups=[one, other, huge, huge])
    snapshot["process"]["command"] = [1, None, "app.py"]
    document = report(rec.write(tmp_path / "r", rec.hello(), {**snapshot, "type": "snapshot"}, rec.bye(4)))
    assert sorted((g["file"], g["last"]) for g in document["groups"]) == [("/srv/a.py", 3), ("/srv/b.py", 4)]
    assert "null" not in run("report", tmp_path / "r").stdout


def test_no_file(two_hosts, tmp_path):
    assert run("report", tmp_path / "none").returncode == 66
    assert run("report", tmp_path).returncode == 69
    result = run("report", tmp_path / "none", *two_hosts)  # the others are reported all the same
    assert result.returncode == 66 and "2 files, 2 hosts" in result.stdout
    assert run("report").returncode == 2
    assert run("report", "-f", "xml", *two_hosts).returncode == 2


def limited(args, mebibytes=100):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
    return run(*args, preexec_fn=limit, timeout=60)


def test_enormous(tmp_path):
    """Without end of line, with a million tasks, with more of everything than is kept: 100 MiB."""
    if "asan" in os.environ.get("STALLSCOPE", ""):
        pytest.skip("AddressSanitizer needs more address space")
    task = {"id": "0x1", "name": "a" * 50, "stack": rec.frames("a", "b", "c")}
    big = rec.snapshot(0, verdict="STALLED", kind="blocked.sleep", held_s=0.5)
    big["tasks"] = [task] * 60000
    file = rec.write(tmp_path / "tasks", big)
    assert file.stat().st_size > 20e6
    result = limited(["report", "-f", "json", file])
    assert result.returncode == 0 and json.loads(result.stdout)["stalls_total"] == 1
    with open(tmp_path / "line", "wb") as out:
        out.truncate(60 << 20)
    assert limited(["report", tmp_path / "line"]).returncode == 69
    lines = [rec.hello()] + [rec.stall(i, 0.2, "f%d" % i, fingerprint="%016x" % i, stack=["f%d" % i] * 40)
                             for i in range(4500)] + [rec.bye(1)]
    many = rec.write(tmp_path / "many", *lines)
    for kind in ("speedscope", "chrome", "otlp-json"):
        json.loads(limited(["convert", "--to", kind, many]).stdout)
    result = limited(["report", "-f", "json", many])
    document = json.loads(result.stdout)
    assert len(document["holders"]) == 4096 and document["left_out"] >= 4500 - 4096
