# SPDX-License-Identifier: Apache-2.0
"""Tables of hits and misses."""
import collections

from judge import CATEGORIES, DIMENSIONS

FAR = 0.02  # seconds of held_s beside the truth that are worth a line


def by_interpreter(outcomes):
    groups = collections.OrderedDict()
    for outcome in sorted(outcomes, key=lambda o: (int(o.interpreter.minor), o.interpreter.id)):
        groups.setdefault(outcome.interpreter.id, []).append(outcome)
    return groups


def hits(outcomes, name):
    """'12/14' of those where the dimension was looked at."""
    results = [o.results[name][0] for o in outcomes if name in o.results]
    return "%d/%d" % (sum(results), len(results)) if results else "-"


def median(values):
    return sorted(values)[len(values) // 2] if values else None


def held(outcomes):
    errors = [abs(o.held_error) * 1000 for o in outcomes if o.held_error is not None]
    return "%.1f/%.1f" % (median(errors), max(errors)) if errors else "-"


def rows(outcomes):
    for name, group in by_interpreter(outcomes).items():
        ran = [o for o in group if not o.skipped]
        right = sum(o.status() == "passed" for o in ran)
        yield [name, "%d/%d" % (right, len(ran))] + [hits(ran, d) for d in DIMENSIONS] + [
            held(ran), str(len(group) - len(ran))]


HEAD = ["interpreter", "all"] + list(DIMENSIONS) + ["held ms", "skipped"]


def columns(table):
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table)


def skips(outcomes):
    """[(why, how many)]; what an interpreter has no module for is one line."""
    modules, count = {}, collections.Counter()
    for outcome in outcomes:
        if outcome.skipped and outcome.skipped.startswith("no module "):
            modules.setdefault(outcome.interpreter.id, []).append(outcome.skipped[len("no module "):])
        elif outcome.skipped:
            count[outcome.skipped] += 1
    for name, missing in modules.items():
        count["no modules in %s: %s" % (name, " ".join(sorted(set(missing))))] = len(missing)
    return count.most_common()


def kinds(outcomes):
    """Right of all, by the first accepted verdict and kind."""
    table = {}
    for outcome in outcomes:
        if outcome.skipped:
            continue
        expected = (outcome.state.verdicts[0], (outcome.state.kinds or [""])[0])
        right, count = table.get(expected, (0, 0))
        table[expected] = (right + (not outcome.failed), count + 1)
    return sorted(table.items())


def named(outcomes):
    """Rows of the catalogue that a look named, and by kind of row how many of how many."""
    rows = set().union(*(o.rows for o in outcomes)) if outcomes else set()
    count = collections.Counter(row.split(" ")[0] for row in rows)
    of = collections.Counter(row.split(" ")[0] for row in CATEGORIES)
    return rows, ["%s %d of %d" % (kind, count[kind], of[kind]) for kind in of if kind != "match_kind"]


def tables(outcomes):
    parts = [columns([HEAD] + list(rows(outcomes)))]
    wrong = ["%s %s: %d/%d" % (*key, right, count) for key, (right, count) in kinds(outcomes) if right < count]
    if wrong:
        parts.append("kinds with misses: " + ", ".join(wrong))
    off = ["%s %s: %.0f ms" % (o.interpreter.id, o.state.name, o.held_error * 1000) for o in outcomes
           if o.held_error is not None and abs(o.held_error) > FAR]
    if off:
        parts.append("held_s far from the target's clock: " + ", ".join(off))
    again = sum(o.again for o in outcomes)
    if again:
        parts.append("%d looks were repeated, as the kernel says that it was another state" % again)
    looks = [word in o.state.verdicts for o in outcomes for word in o.later]
    if looks:
        parts.append("later looks with the right verdict: %d of %d" % (sum(looks), len(looks)))
    parts.append("rows of the catalogue named: " + ", ".join(named(outcomes)[1]))
    if skips(outcomes):
        parts.append("\n".join("SKIP: %d x %s" % (n, text) for text, n in skips(outcomes)))
    return "\n".join(parts)


def markdown_row(cells):
    return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"


def markdown_table(head, body):
    return "\n".join([markdown_row(head), markdown_row("---" for _ in head)] + [markdown_row(r) for r in body])


def markdown(outcomes, command):
    missed = [[o.interpreter.id, o.state.name, *miss, o.evidence] for o in outcomes if o.status() == "failed"
              for miss in o.misses()]
    parts = ["# Scenarios", "`%s`" % command, markdown_table(HEAD, rows(outcomes)),
             "held ms: median and largest difference between held_s and the target's own clock.",
             "## Misses",
             markdown_table(["interpreter", "scenario", "what", "expected", "got", "first evidence"], sorted(missed)),
             "## By kind",
             markdown_table(["verdict", "kind", "right", "of"], ([*key, *value] for key, value in kinds(outcomes))),
             "## Rows of the catalogue", "Named: " + ", ".join(named(outcomes)[1]) + ". Not named:",
             "\n".join("- `%s`" % row for row in sorted(set(CATEGORIES) - named(outcomes)[0])),
             "## Skipped", markdown_table(["scenarios", "why"], ([n, text] for text, n in skips(outcomes)))]
    return "\n\n".join(parts) + "\n"
