/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_options.c - durations and command lines: what is taken, what is refused, with what status
 */
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"

#define MS INT64_C(1000000)

/* ---- durations ----------------------------------------------------------------------------- */

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = {
		{"250ms", 250 * MS},
		{"2s", 2000 * MS},
		{"1m", 60000 * MS},
		{"2h", 7200000 * MS},
		{"0", 0},
		{"0s", 0},
		{"1.5s", 1500 * MS},
		{".5", 500 * MS},
		{"3", 3000 * MS},
		{"10us", 10000},
		{"0.001ms", 1000},
		{"1e3ms", 1000 * MS},
		{"24h", 86400000 * MS},
		{"0.0000000004s", 0},
		{"0.0000000006s", 1},
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ns = -7;
		if (!parse_duration(rows[i].text, &ns))
			fail_msg("'%s' was refused", rows[i].text);
		assert_int_equal(ns, rows[i].ns);
	}
}

static void test_no_durations(void **state)
{
	static const char *const rows[] = {
		"",	     "x",    "-1",   "-0",    "+1",	  " 1",	   "1 s",   "10 s",
		"1s ",	     "s",    "ms",   ".",     "1..2",	  "1ss",   "1sec",  "1S",
		"1M",	     "1d",   "nan",  "inf",   "infinity", "1e30",  "1e400", "1e",
		"99999999h", "1,5s", "0x10", "0x1p3", "1ms2",	  "1m30s",
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ns = -7;
		if (parse_duration(rows[i], &ns))
			fail_msg("'%s' was taken as %lld ns", rows[i], (long long)ns);
		assert_int_equal(ns, -7);
	}
}

/* ---- command lines ------------------------------------------------------------------------- */

#define ARGS_ROOM 2000

struct line {
	char *args[ARGS_ROOM + 1], *copies[ARGS_ROOM];
	int n;
	struct options options;
	int status;
	char said[65536]; /* on both streams */
};

static struct line line;

static void line_add(const char *arg)
{
	assert_true(line.n < ARGS_ROOM);
	line.args[line.n] = line.copies[line.n] = strdup(arg);
	line.args[++line.n] = NULL;
}

static void line_end(void)
{
	for (int i = 0; i < line.n; i++)
		free(line.copies[i]);
	line.n = 0;
}

static int begin_capture(int fd, int to)
{
	int saved = dup(fd);

	assert_true(saved >= 0);
	assert_int_equal(dup2(to, fd), fd);
	return saved;
}

static void end_capture(int fd, int saved)
{
	dup2(saved, fd);
	close(saved);
}

/* Parses the line that was put together; what it says goes into line.said. */
static bool run_line(void)
{
	int to = memfd_create("said", MFD_CLOEXEC), out, err;
	ssize_t n;
	bool ok;

	assert_true(to >= 0);
	fflush(stdout);
	out = begin_capture(1, to);
	err = begin_capture(2, to);
	memset(&line.options, 0x5a, sizeof(line.options));
	line.status = -7;
	optind = 0;
	ok = options_parse(line.n, line.args, &line.options, &line.status);
	fflush(stdout);
	end_capture(1, out);
	end_capture(2, err);
	n = pread(to, line.said, sizeof(line.said) - 1, 0);
	assert_true(n >= 0);
	line.said[n] = 0;
	close(to);
	return ok;
}

/* "dump -f json 42": words without blanks in them. */
static bool parse(const char *words)
{
	char copy[512], *save = NULL;

	line_end();
	line_add("stallscope");
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		line_add(w);
	return run_line();
}

static const struct options *taken(const char *words)
{
	if (!parse(words))
		fail_msg("'%s' was refused: %s", words, line.said);
	assert_string_equal(line.said, "");
	return &line.options;
}

/* The line is refused with a status, says something of what was wrong, and gives no options. */
static void assert_ends(const char *words, int status, const char *says)
{
	struct options untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	if (parse(words))
		fail_msg("'%s' was taken", words);
	assert_int_equal(line.status, status);
	if (!strstr(line.said, says))
		fail_msg("'%s' says '%s', not '%s'", words, line.said, says);
	assert_memory_equal(&line.options, &untouched, sizeof(untouched));
}

static void test_defaults(void **state)
{
	const struct options *o = taken("42");

	(void)state;
	assert_int_equal(o->command, COMMAND_DUMP);
	assert_int_equal(o->n_targets, 1);
	assert_string_equal(o->targets[0], "42");
	assert_int_equal(o->for_ns, 200 * MS);
	assert_int_equal(o->threshold_ns, 100 * MS);
	assert_int_equal(o->format, FORMAT_TEXT);
	assert_int_equal(o->color, COLOR_AUTO);
	assert_int_equal(o->tasks, RENDER_TASKS_GROUPS);
	assert_false(o->tasks_given);
	assert_int_equal(o->max_tasks, 0);
	assert_null(o->output);
	assert_null(o->save);
	assert_null(o->culprits);
	assert_null(o->dump_layout);
	assert_false(o->exit_code);
	assert_false(o->quiet);
	assert_int_equal(o->verbose, 0);
	assert_int_equal(o->n_labels, 0);
}

static void test_commands(void **state)
{
	const struct options *o;

	(void)state;
	assert_int_equal(taken("dump 42")->command, COMMAND_DUMP);
	assert_int_equal(taken("doctor 42")->command, COMMAND_DOCTOR);
	assert_int_equal(taken("doctor")->n_targets, 0);
	assert_int_equal(taken("explain")->command, COMMAND_EXPLAIN);
	o = taken("explain -f json -v --culprits c.tsv -o out DEADLOCK future");
	assert_int_equal(o->n_targets, 2);
	assert_string_equal(o->targets[1], "future");
	assert_string_equal(o->culprits, "c.tsv");
	/* only the first word is a command, and only when it is one */
	o = taken("dump dump");
	assert_int_equal(o->n_targets, 1);
	assert_string_equal(o->targets[0], "dump");
	o = taken("dump.core");
	assert_int_equal(o->command, COMMAND_DUMP);
	assert_string_equal(o->targets[0], "dump.core");
	assert_ends("dumps", 2, "there is no command 'dumps': did you mean 'dump'?");
	o = taken("42 doctor");
	assert_int_equal(o->command, COMMAND_DUMP);
	assert_int_equal(o->n_targets, 2);
}

static void test_targets(void **state)
{
	const struct options *o = taken("1 -p 2 app.core -f json --pid 3 -- -4");

	(void)state;
	assert_int_equal(o->n_targets, 5);
	assert_string_equal(o->targets[0], "2"); /* options first, as getopt finds them */
	assert_string_equal(o->targets[1], "3");
	assert_string_equal(o->targets[2], "1");
	assert_string_equal(o->targets[3], "app.core");
	assert_string_equal(o->targets[4], "-4");
	assert_int_equal(taken("")->n_targets, 0); /* the picker */
	assert_ends("dump", 2, "name a process");
	assert_ends("-f json", 2, "name a process");
	assert_ends("-p x", 2, "--pid takes PID, not 'x'");
	assert_ends("-p \x1b[31m", 2, "--pid takes PID, not '\\x1b[31m'");
	assert_ends("--pid -1", 2, "--pid takes PID");
	assert_ends("-p", 2, "requires an argument");
}

/* Without a command it is the live view, unless something is asked for that only dump has. */
static void test_live(void **state)
{
	const struct options *o = taken("42");

	(void)state;
	assert_true(o->live);
	assert_false(o->dump_only);
	assert_int_equal(o->interval_ns, 100 * INT64_C(1000000));
	o = taken("--children --interval 20ms --theme light --no-mouse --threshold 1s --ascii 42");
	assert_true(o->live && o->children && o->no_mouse && !o->dump_only);
	assert_int_equal(o->theme, THEME_LIGHT);
	assert_int_equal(o->interval_ns, 20 * INT64_C(1000000));
	assert_true(taken("-f json 42")->dump_only);
	assert_true(taken("-v 42")->dump_only);
	assert_true(taken("--exit-code 42")->dump_only);
	assert_false(taken("dump 42")->live);
	o = taken("view --theme mono stall.core");
	assert_int_equal(o->command, COMMAND_VIEW);
	assert_false(o->live);
	assert_int_equal(taken("view")->n_targets, 0);
	assert_ends("view -f json 42", 2, "--format does not belong");
	assert_ends("dump --no-mouse 42", 2, "--no-mouse does not belong");
	assert_ends("--theme pink 42", 2, "--theme takes NAME");
	assert_ends("--interval 1ms 42", 2, "--interval takes DUR");
	assert_ends("--interval 2s 42", 2, "--interval takes DUR");
	assert_ends("--children 42 43", 2, "--children takes one process");
}

static void test_too_many_targets(void **state)
{
	(void)state;
	line_end();
	line_add("stallscope");
	for (unsigned i = 0; i < TARGETS_MAX; i++)
		line_add("7");
	assert_true(run_line());
	assert_int_equal(line.options.n_targets, TARGETS_MAX);
	line_add("8");
	assert_false(run_line());
	assert_int_equal(line.status, 2);
	assert_non_null(strstr(line.said, "too many processes at '8'"));
}

static void test_values(void **state)
{
	const struct options *o;

	(void)state;
	o = taken("--filter name=^a --filter state=ready,pending 1");
	assert_int_equal(o->n_filters, 2);
	assert_string_equal(o->filters[1], "state=ready,pending");
	o = taken("--for 0 --threshold 50ms --tasks tree --max-tasks 7 --color never -o out 1");
	assert_int_equal(o->for_ns, 0);
	assert_int_equal(o->threshold_ns, 50 * MS);
	assert_int_equal(o->tasks, RENDER_TASKS_TREE);
	assert_true(o->tasks_given);
	assert_int_equal(o->max_tasks, 7);
	assert_int_equal(o->color, COLOR_NEVER);
	assert_string_equal(o->output, "out");
	o = taken("--format=json --save s.core --exit-code --ascii -qvv --verbose 1");
	assert_int_equal(o->format, FORMAT_JSON);
	assert_string_equal(o->save, "s.core");
	assert_true(o->exit_code && o->ascii && o->quiet);
	assert_int_equal(o->verbose, 3);
	assert_int_equal(taken("--tasks all 1")->tasks, RENDER_TASKS_ALL);
	assert_int_equal(taken("--tasks none 1")->tasks, RENDER_TASKS_NONE);
	assert_int_equal(taken("--color always 1")->color, COLOR_ALWAYS);
	assert_int_equal(taken("-f json -f text 1")->format, FORMAT_TEXT); /* the last one wins */
	assert_string_equal(taken("doctor --dump-layout l.def 1")->dump_layout, "l.def");
	assert_int_equal(taken("--max-tasks 18446744073709551615 1")->max_tasks, UINT64_MAX);
}

static void test_wrong_values(void **state)
{
	static const char *const lines[] = {
		"--for x 1",
		"--for -1 1",
		"--for 1e30 1",
		"--threshold 0 1",
		"--threshold -5ms 1",
		"--threshold x 1",
		"-f xml 1",
		"-f JSON 1",
		"--format= 1",
		"--color red 1",
		"--tasks some 1",
		"--tasks= 1",
		"--filter name 1",
		"--filter nom=x 1",
		"--filter name=( 1",
		"--filter state=done 1",
		"--filter name=\xff 1",
		"--max-tasks 0 1",
		"--max-tasks -1 1",
		"--max-tasks x 1",
		"--max-tasks 1x 1",
		"--max-tasks 18446744073709551616 1",
		"--label x 1",
		"--label =x 1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_ends(lines[i], 2, " takes ");
}

static void test_unknown_options(void **state)
{
	(void)state;
	assert_ends("--nonsense 1", 2, "nonsense");
	assert_ends("-Z 1", 2, "--help");
	assert_ends("--exit-code=1 1", 2, "--help");
	assert_ends("doctor --nonsense", 2, "--help");
	/* known, but of another command */
	assert_ends("doctor --for 1 1", 2, "--for does not belong");
	assert_ends("doctor -f json 1", 2, "--format does not belong");
	assert_ends("doctor --culprits x 1", 2, "--culprits does not belong");
	assert_ends("explain -p 1", 2, "--pid does not belong");
	assert_ends("explain --for 1s STALLED", 2, "--for does not belong");
	assert_ends("dump --dump-layout x 1", 2, "--dump-layout does not belong");
	assert_ends("--dump-layout x 1", 2, "--dump-layout does not belong");
}

static void test_record(void **state)
{
	const struct options *o = taken("record --interval 50ms --count 3 --for 1h -o x 42");

	(void)state;
	assert_int_equal(o->command, COMMAND_RECORD);
	assert_int_equal(o->interval_ns, 50 * MS);
	assert_int_equal(o->count, 3);
	assert_true(o->for_given);
	assert_int_equal(taken("record -o - 42")->interval_ns, 1000 * MS);
	assert_int_equal(taken("record -o - 42")->count, 0);
	assert_ends("record 42", 2, "name one process and a file");
	assert_ends("record 42 43 -o x", 2, "name one process and a file");
	assert_ends("record 42 -o x --interval 0", 2, "--interval takes DUR");
	assert_ends("record 42 -o x --count 0", 2, "--count takes N");
	assert_ends("dump --interval 1s 42", 2, "--interval does not belong");
}

static void test_files_of_recordings(void **state)
{
	(void)state;
	assert_int_equal(taken("report -f md a b")->format, FORMAT_MARKDOWN);
	assert_int_equal(taken("diff a 42")->n_targets, 2);
	assert_int_equal(taken("convert --to otlp-json a")->convert, CONVERT_OTLP_JSON);
	assert_ends("report", 2, "name a recording");
	assert_ends("diff a", 2, "name two");
	assert_ends("diff -f html a b", 2, "--format takes FORMAT");
	assert_ends("dump -f md 1", 2, "--format takes FORMAT");
	assert_ends("convert a", 2, "name a recording and a format");
	assert_ends("convert --to xml a", 2, "--to takes FORMAT");
	assert_ends("ps 1", 2, "ps lists all");
	assert_ends("check", 3, "name a process"); /* a plug-in's word for "unknown" */
	assert_ends("check --nonsense", 3, "nonsense");
	assert_ends("check --help", 0, "usage: stallscope check");
}

static void test_watch(void **state)
{
	const struct options *o = taken("watch --save d --exec cat -f jsonl --children 42 43");

	(void)state;
	assert_int_equal(o->command, COMMAND_WATCH);
	assert_int_equal(o->n_targets, 2);
	assert_int_equal(o->interval_ns, 10 * MS);
	assert_int_equal(o->format, FORMAT_JSON);
	assert_true(o->children && !o->all && !o->argv);
	assert_string_equal(o->exec, "cat");
	o = taken("watch --count 2 -- program --for 1h -- x");
	assert_int_equal(o->n_targets, 0);
	assert_int_equal(o->count, 2);
	assert_false(o->for_given);
	assert_string_equal(o->argv[0], "program");
	assert_string_equal(o->argv[3], "--");
	assert_true(taken("watch --all")->all);
	assert_ends("watch", 2, "name a process");
	assert_ends("watch --", 2, "name a process");
	assert_ends("watch --exec= 42", 2, "--exec takes CMD");
	assert_ends("dump --children 42", 2, "--children does not belong");
}

static void test_save_is_of_one(void **state)
{
	(void)state;
	taken("--save x 1");
	assert_ends("--save x 1 2", 2, "--save takes one process, not 2");
}

static void test_freeze_is_for_processes(void **state)
{
	(void)state;
	assert_true(taken("--freeze 1 2")->freeze);
	assert_false(taken("1")->freeze);
	assert_ends("--freeze 1 stall.core", 2, "--freeze stops a process, and 'stall.core'");
	assert_ends("doctor --freeze 1", 2, "--freeze does not belong");
}

static void test_locals_and_redact(void **state)
{
	(void)state;
	assert_true(taken("--locals 1")->locals);
	assert_true(taken("--redact 1")->redact);
	assert_false(taken("1")->locals || taken("1")->redact);
	assert_ends("--redact --save x 1", 2, "--save writes memory as it is");
	assert_ends("doctor --locals 1", 2, "--locals does not belong");
}

static void test_native(void **state)
{
	(void)state;
	assert_int_equal(taken("1")->native, SNAP_NATIVE_AUTO);
	assert_int_equal(taken("--native always 1")->native, SNAP_NATIVE_ALWAYS);
	assert_int_equal(taken("--native=never 1")->native, SNAP_NATIVE_NEVER);
	assert_ends("--native sometimes 1", 2, "--native takes WHEN, not 'sometimes'");
	assert_ends("doctor --native never 1", 2, "--native does not belong");
}

static void test_labels(void **state)
{
	const struct options *o = taken("--label a=b --label k=v=w --label e= 1");

	(void)state;
	assert_int_equal(o->n_labels, 3);
	assert_string_equal(o->labels[0].key, "a");
	assert_string_equal(o->labels[0].value, "b");
	assert_string_equal(o->labels[1].key, "k");
	assert_string_equal(o->labels[1].value, "v=w");
	assert_string_equal(o->labels[2].key, "e");
	assert_string_equal(o->labels[2].value, "");
	assert_ends("--label a\xff=b 1", 2, "--label takes KEY=VALUE"); /* no JSON can have it */
	assert_ends("--label a=\xc3 1", 2, "--label takes KEY=VALUE");
	assert_string_equal(taken("--label \xc3\xa9=\xe4\xb8\xad 1")->labels[0].key, "\xc3\xa9");
	line_end();
	line_add("stallscope");
	line_add("1");
	for (unsigned i = 0; i < LABELS_MAX; i++) {
		line_add("--label");
		line_add("a=b");
	}
	assert_true(run_line());
	assert_int_equal(line.options.n_labels, LABELS_MAX);
	line_add("--label=c=d");
	assert_false(run_line());
	assert_int_equal(line.status, 2);
}

static void test_help(void **state)
{
	(void)state;
	assert_ends("--help", 0, "usage: stallscope [COMMAND]");
	assert_non_null(strstr(line.said, "--threshold"));
	assert_non_null(strstr(line.said, "Exit status"));
	assert_ends("-h", 0, "usage: stallscope [COMMAND]");
	assert_ends("dump --help", 0, "usage: stallscope dump [OPTION]... PID... | FILE...");
	assert_null(strstr(line.said, "--dump-layout"));
	assert_ends("doctor -h", 0, "usage: stallscope doctor");
	assert_null(strstr(line.said, "--threshold"));
	assert_ends("42 --help --nonsense", 0, "usage:");
	assert_ends("--version", 0, "stallscope ");
	assert_ends("doctor --version", 0, "stallscope ");
	assert_ends("--nonsense --help", 2, "nonsense"); /* the first word counts */
}

/* Each line of --help fits a terminal. */
static void test_help_is_narrow(void **state)
{
	static const char *const lines[] = {"--help",	      "dump --help",  "view --help",
					    "record --help",  "watch --help", "report --help",
					    "explain --help", "doctor --help"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char *save = NULL;

		assert_ends(lines[i], 0, "usage:");
		for (char *l = strtok_r(line.said, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
			if (strlen(l) > 100)
				fail_msg("%s: '%s' has %zu columns", lines[i], l, strlen(l));
	}
}

static void test_ascii_follows_the_locale(void **state)
{
	(void)state;
	setlocale(LC_CTYPE, "C");
	assert_true(taken("1")->ascii);
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	assert_false(taken("1")->ascii);
	assert_true(taken("--ascii 1")->ascii);
}

static int end(void **state)
{
	(void)state;
	line_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_no_durations),
		cmocka_unit_test_teardown(test_defaults, end),
		cmocka_unit_test_teardown(test_commands, end),
		cmocka_unit_test_teardown(test_targets, end),
		cmocka_unit_test_teardown(test_live, end),
		cmocka_unit_test_teardown(test_too_many_targets, end),
		cmocka_unit_test_teardown(test_values, end),
		cmocka_unit_test_teardown(test_wrong_values, end),
		cmocka_unit_test_teardown(test_unknown_options, end),
		cmocka_unit_test_teardown(test_record, end),
		cmocka_unit_test_teardown(test_files_of_recordings, end),
		cmocka_unit_test_teardown(test_watch, end),
		cmocka_unit_test_teardown(test_save_is_of_one, end),
		cmocka_unit_test_teardown(test_freeze_is_for_processes, end),
		cmocka_unit_test_teardown(test_locals_and_redact, end),
		cmocka_unit_test_teardown(test_native, end),
		cmocka_unit_test_teardown(test_labels, end),
		cmocka_unit_test_teardown(test_help, end),
		cmocka_unit_test_teardown(test_help_is_narrow, end),
		cmocka_unit_test_teardown(test_ascii_follows_the_locale, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
