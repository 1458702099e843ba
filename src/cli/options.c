/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"
#include "meant.h"
#include "stallscope/cleanup.h"
#include "stallscope/utf8.h"

#define MS	    INT64_C(1000000)
#define VALUE_CHARS 200u /* of what was given, in a message */

enum {
	DUMP = 1 << COMMAND_DUMP,
	DOCTOR = 1 << COMMAND_DOCTOR,
	RECORD = 1 << COMMAND_RECORD,
	WATCH = 1 << COMMAND_WATCH,
	REPORT = 1 << COMMAND_REPORT,
	DIFF = 1 << COMMAND_DIFF,
	CONVERT = 1 << COMMAND_CONVERT,
	CHECK = 1 << COMMAND_CHECK,
	PS = 1 << COMMAND_PS,
	EXPLAIN = 1 << COMMAND_EXPLAIN,
	VIEW = 1 << COMMAND_VIEW,
	LOOKS = DUMP | RECORD | WATCH | CHECK,
	READS = DIFF | CONVERT,		      /* recordings, or looks of their own */
	TELLS = REPORT | DIFF | PS | EXPLAIN, /* they write text */
	TARGETS = LOOKS | VIEW | DOCTOR,
	ALL = TARGETS | TELLS | CONVERT
};

static const struct {
	const char *name, *arguments, *summary;
} commands[COMMAND_COUNT] = {
	[COMMAND_DUMP] = {"dump", "PID... | FILE...",
			  "one look at processes or cores: who holds the loop"},
	[COMMAND_VIEW] = {"view", "[PID... | FILE]",
			  "the live view; over a core or recording what was saved"},
	[COMMAND_RECORD] = {"record", "PID",
			    "looks again and again: snapshots and stalls, as JSON Lines"},
	[COMMAND_WATCH] = {"watch", "PID... | -- COMMAND...",
			   "waits for stalls: a line for each, caught while it lasts"},
	[COMMAND_REPORT] = {"report", "FILE...",
			    "recordings added up: who holds loops, for how long"},
	[COMMAND_DIFF] = {"diff", "A B", "two looks or recordings: what got worse"},
	[COMMAND_CONVERT] = {"convert", "FILE... | PID...",
			     "recordings for other tools: profiles, traces, metrics"},
	[COMMAND_CHECK] = {"check", "PID...", "a monitoring plug-in: one line, 0 to 3"},
	[COMMAND_PS] = {"ps", "", "all Python processes, and how their loops are"},
	[COMMAND_EXPLAIN] = {"explain", "[NAME]", "what a verdict or a call means, and what to do"},
	[COMMAND_DOCTOR] = {"doctor", "[PID | FILE]",
			    "what would fail here and why, before it matters"},
};

/* X(id, long name, short name or 0, argument or NULL, commands, help) */
#define OPTION_LIST(X)                                                                            \
	X(PID, "pid", 'p', "PID", TARGETS, "a process; the same as naming it as an argument")     \
	X(FOR, "for", 0, "DUR", LOOKS | READS,                                                    \
	  "how long to look at most (200ms); record, watch: when to end")                         \
	X(INTERVAL, "interval", 0, "DUR", RECORD | WATCH | VIEW,                                  \
	  "from one look to the next (record 1s, watch 10ms, view 100ms)")                        \
	X(COUNT_OF, "count", 0, "N", RECORD | WATCH, "end after N looks, or N stalls (watch)")    \
	X(ALL_PYTHON, "all", 0, NULL, WATCH, "every Python process that can be read")             \
	X(CHILDREN, "children", 0, NULL, WATCH | VIEW, "their child processes too: workers")      \
	X(EXEC, "exec", 0, "CMD", WATCH, "run CMD for each stall, with the event as its input")   \
	X(THRESHOLD, "threshold", 0, "DUR", LOOKS | READS | PS | VIEW,                            \
	  "what counts as a stall (100ms)")                                                       \
	X(FORMAT, "format", 'f', "FORMAT", DUMP | WATCH | TELLS,                                  \
	  "text or json; report also md and html, diff md")                                       \
	X(TO, "to", 0, "FORMAT", CONVERT,                                                         \
	  "collapsed, speedscope, chrome, prom, otlp-json or html")                               \
	X(OUTPUT, "output", 'o', "FILE", DUMP | RECORD | WATCH | TELLS | CONVERT,                 \
	  "write there instead of standard output")                                               \
	X(SAVE, "save", 0, "FILE", DUMP | WATCH,                                                  \
	  "also write a sparse core of all that was read (watch: a folder of them)")              \
	X(NATIVE, "native", 0, "WHEN", DUMP | WATCH,                                              \
	  "frames of C: auto (of a held loop that cannot notice), always, never")                 \
	X(DEBUGINFOD, "debuginfod", 0, NULL, DUMP,                                                \
	  "debug information of C from the servers in DEBUGINFOD_URLS")                           \
	X(FREEZE, "freeze", 0, NULL, DUMP,                                                        \
	  "stop the Python threads for some ms, for a picture of one instant")                    \
	X(LOCALS, "locals", 0, NULL, DUMP,                                                        \
	  "the variables of the frames shown: they may be secrets")                               \
	X(REDACT, "redact", 0, NULL, DUMP | RECORD | WATCH,                                       \
	  "leave out peers, paths, arguments, names and values of variables")                     \
	X(TASKS, "tasks", 0, "HOW", DUMP | RECORD,                                                \
	  "groups, tree, all or none (text groups, JSON all)")                                    \
	X(FILTER, "filter", 0, "KEY=PATTERN", DUMP,                                               \
	  "tasks by name, coroutine, state, place or waits; may be repeated")                     \
	X(MAX_TASKS, "max-tasks", 0, "N", LOOKS | VIEW, "read at most N tasks (1000000)")         \
	X(CULPRITS, "culprits", 0, "FILE", LOOKS | READS | PS | EXPLAIN | VIEW,                   \
	  "more rows for the catalogue, before its own")                                          \
	X(EXIT_CODE, "exit-code", 0, NULL, DUMP | WATCH,                                          \
	  "exit with 1 when the verdict is unhealthy (watch: there was a stall)")                 \
	X(LABEL, "label", 0, "KEY=VALUE", DUMP | RECORD | WATCH,                                  \
	  "copied into machine output; may be repeated")                                          \
	X(DUMP_LAYOUT, "dump-layout", 0, "FILE", DOCTOR,                                          \
	  "write the layout of this interpreter from its debug information")                      \
	X(COLOR, "color", 0, "WHEN", DUMP | VIEW, "auto, always or never")                        \
	X(ASCII, "ascii", 0, NULL, DUMP | WATCH | TELLS | VIEW, "only ASCII characters in text")  \
	X(THEME, "theme", 0, "NAME", VIEW, "default, mono, light, dark or cb")                    \
	X(NO_MOUSE, "no-mouse", 0, NULL, VIEW, "leave the mouse to the terminal")                 \
	X(VERBOSE, "verbose", 'v', NULL, ALL, "all frames and groups; twice: debugging messages") \
	X(QUIET, "quiet", 'q', NULL, ALL, "no messages but errors")                               \
	X(VERSION, "version", 0, NULL, ALL, "print the version")                                  \
	X(HELP, "help", 'h', NULL, ALL, "print this help")

enum option_id {
#define X(id, name, letter, argument, which, help) OPT_##id,
	OPTION_LIST(X) OPT_COUNT
#undef X
};

static const struct {
	const char *name;
	int letter;
	const char *argument;
	unsigned commands;
	const char *help;
} rows[OPT_COUNT] = {
#define X(id, name, letter, argument, which, help) {name, letter, argument, which, help},
	OPTION_LIST(X)
#undef X
};

/* ---- help -------------------------------------------------------------------------------------
 */

static void print_wrapped(const char *text, size_t indent)
{
	cleanup_strbuf struct strbuf out = STRBUF_INIT;

	utf8_add_wrapped(&out, text, 80, indent);
	puts(out.data);
}

static void print_options(unsigned which)
{
	for (size_t i = 0; i < OPT_COUNT; i++) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;
		char left[64];

		if (!(rows[i].commands & which))
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", rows[i].letter ? '-' : ' ',
			 rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? "," : " ",
			 rows[i].name, rows[i].argument ? " " : "",
			 rows[i].argument ? rows[i].argument : "");
		strbuf_addf(&line, "  %-24s %s", left, rows[i].help);
		print_wrapped(line.data, 27);
	}
}

static void print_help(const char *command)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (!command || strcmp(command, commands[i].name) != 0)
			continue;
		printf("usage: stallscope %s [OPTION]... %s\n\n%s\n\n", commands[i].name,
		       commands[i].arguments, commands[i].summary);
		print_options(1u << i);
		return;
	}
	printf("usage: stallscope [COMMAND] [OPTION]... PID...\n\n"
	       "Tells what holds the asyncio event loop of a running Python process, from\n"
	       "outside. It only reads: nothing is written into the process. A thread that holds\n"
	       "its loop is stopped for about 0.1 ms where it cannot notice (--native never: not\n"
	       "even that).\n\n"
	       "  stallscope                            pick a process, with the health of each\n"
	       "  stallscope PID                        the live view; no terminal: as dump\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;

		strbuf_addf(&line, "  stallscope %-7s %-18s %s", commands[i].name,
			    commands[i].arguments, commands[i].summary);
		print_wrapped(line.data, 40);
	}
	putchar('\n');
	print_options(ALL);
	printf("\nExit status: 0 done; 1 unhealthy (--exit-code); 2 usage; 66 no such process or\n"
	       "file; 69 not a Python this build can read; 73, 74 cannot write; 75 no consistent\n"
	       "picture; 77 no permission. See stallscope(1).\n");
}

__attribute__((format(printf, 1, 2))) static int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("stallscope: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n  try: stallscope --help\n", stderr);
	return 2;
}

/* ---- words that are misspelled ----------------------------------------------------------------
 */

/* A word that is near to a command, and neither a process nor a file: the status is then set. */
static bool is_misspelled(const char *word, int *status)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	struct meant m = {.word = word};

	if (source_names_process(word) || !access(word, F_OK))
		return false;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		meant_consider(&m, commands[i].name);
	if (!m.name)
		return false;
	utf8_add_safe(&safe, word, strlen(word), VALUE_CHARS);
	*status = usage_error("there is no command '%s': did you mean '%s'?", safe.data, m.name);
	return true;
}

static int unknown_option(const char *given, unsigned allowed)
{
	char word[STR_DISTANCE_MAX + 1];
	struct meant m = {.word = word};

	if (given && !strncmp(given, "--", 2)) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(given + 2, "="), given + 2);
		for (size_t i = 0; i < OPT_COUNT; i++)
			if (rows[i].commands & allowed)
				meant_consider(&m, rows[i].name);
	}
	if (m.name && m.distance)
		fprintf(stderr, "  did you mean --%s?\n", m.name);
	else
		fputs("  try: stallscope --help\n", stderr);
	return 2;
}

/* ---- values
 * ----------------------------------------------------------------------------------------- */

bool parse_duration(const char *text, int64_t *ns)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"s", 1}, {"m", 60}, {"h", 3600}, {"", 1}};
	char *end;
	double value;

	if (strspn(text, "0123456789.") == 0 || strpbrk(text, "xX"))
		return false;
	errno = 0;
	value = strtod(text, &end);
	if (errno || end == text)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		value *= units[i].seconds * 1e9;
		if (!(value < 1e17))
			return false;
		*ns = (int64_t)llround(value);
		return true;
	}
	return false;
}

static int choose(const char *value, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(value, words[i]))
			return (int)i;
	return -1;
}

static bool set_choice(const char *value, const char *const words[], size_t n, int *ret)
{
	*ret = choose(value, words, n);
	return *ret >= 0;
}

static bool add_target(struct options *o, const char *target)
{
	if (o->n_targets == TARGETS_MAX)
		return false;
	o->targets[o->n_targets++] = target;
	return true;
}

/* JSON has no other text. */
static bool is_utf8(const char *text)
{
	size_t len = strlen(text);
	uint32_t cp = 0;

	for (size_t i = 0; i < len && cp != UTF8_BAD;)
		i += utf8_decode(text + i, len - i, &cp);
	return cp != UTF8_BAD;
}

static bool add_label(struct options *o, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text || o->n_labels == LABELS_MAX || !is_utf8(text))
		return false;
	*equals = 0;
	o->labels[o->n_labels++] = (struct render_label){text, equals + 1};
	return true;
}

static bool add_filter(struct options *o, const char *text)
{
	struct error err;

	if (o->n_filters == FILTERS_MAX || !is_utf8(text))
		return false;
	if (!task_filter_check(text, &err)) {
		fprintf(stderr, "stallscope: --filter: %s\n", err.text);
		return false;
	}
	o->filters[o->n_filters++] = text;
	return true;
}

static bool set_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno && *ret > 0;
}

/* An option whose value is one of some words. */
static bool take_word(struct options *o, enum option_id id, const char *value)
{
	static const char *const formats[] = {"text", "json", "md", "html", "jsonl"};
	static const char *const converts[] = {
#define X(name, word, what) word,
		CONVERT_LIST(X)
#undef X
	};
	static const char *const colors[] = {"auto", "always", "never"};
	static const char *const natives[] = {"auto", "always", "never"};
	static const char *const tasks[] = {"groups", "tree", "all", "none"};
	static const char *const themes[] = {"default", "mono", "light", "dark", "cb"};
	int choice = -1;

	if (id == OPT_FORMAT && set_choice(value, formats, ARRAY_SIZE(formats), &choice))
		o->format = (enum format)choice;
	else if (id == OPT_TO && set_choice(value, converts, ARRAY_SIZE(converts), &choice))
		o->convert = (enum convert_format)choice;
	else if (id == OPT_COLOR && set_choice(value, colors, ARRAY_SIZE(colors), &choice))
		o->color = (enum color)choice;
	else if (id == OPT_NATIVE && set_choice(value, natives, ARRAY_SIZE(natives), &choice))
		o->native = (enum snap_native_mode)choice;
	else if (id == OPT_THEME && set_choice(value, themes, ARRAY_SIZE(themes), &choice))
		o->theme = (enum theme)choice;
	else if (id == OPT_TASKS && set_choice(value, tasks, ARRAY_SIZE(tasks), &choice))
		o->tasks = (enum render_tasks)choice;
	if (id == OPT_FORMAT && choice > FORMAT_HTML) /* several objects are JSON Lines anyway */
		o->format = (enum format)(choice = FORMAT_JSON);
	o->tasks_given |= id == OPT_TASKS;
	o->convert_given |= id == OPT_TO;
	if (id == OPT_FORMAT && choice > FORMAT_JSON && o->command != COMMAND_REPORT)
		return choice == FORMAT_MARKDOWN && o->command == COMMAND_DIFF;
	return choice >= 0;
}

static bool set_interval(struct options *o, const char *value)
{
	if (!parse_duration(value, &o->interval_ns))
		return false;
	if (o->command == COMMAND_RECORD || o->command == COMMAND_WATCH)
		return o->interval_ns >= MS;
	return o->interval_ns >= 10 * MS && o->interval_ns <= 1000 * MS;
}

/* One option; false when its value is wrong. */
static bool take(struct options *o, enum option_id id, char *value)
{
	o->dump_only |= !(rows[id].commands & VIEW) || id == OPT_VERBOSE;
	o->look_only |= !(rows[id].commands & (VIEW | REPORT));
	switch (id) {
	case OPT_PID:
		return isdigit((unsigned char)*value) && add_target(o, value);
	case OPT_FOR:
		o->for_given = true;
		return parse_duration(value, &o->for_ns);
	case OPT_THRESHOLD:
		return parse_duration(value, &o->threshold_ns) && o->threshold_ns > 0;
	case OPT_FORMAT:
	case OPT_TO:
	case OPT_COLOR:
	case OPT_NATIVE:
	case OPT_TASKS:
	case OPT_THEME:
		return take_word(o, id, value);
	case OPT_INTERVAL:
		return set_interval(o, value);
	case OPT_CHILDREN:
		return o->children = true;
	case OPT_NO_MOUSE:
		return o->no_mouse = true;
	case OPT_OUTPUT:
		o->output = value;
		return true;
	case OPT_SAVE:
		o->save = value;
		return true;
	case OPT_CULPRITS:
		o->culprits = value;
		return true;
	case OPT_DUMP_LAYOUT:
		o->dump_layout = value;
		return true;
	case OPT_FILTER:
		return add_filter(o, value);
	case OPT_MAX_TASKS:
		return set_number(value, &o->max_tasks);
	case OPT_COUNT_OF:
		return set_number(value, &o->count);
	case OPT_LABEL:
		return add_label(o, value);
	case OPT_DEBUGINFOD:
		return o->debuginfod = true;
	case OPT_EXEC:
		o->exec = value;
		return *value != 0;
	case OPT_ALL_PYTHON:
		return o->all = true;
	case OPT_FREEZE:
		return o->freeze = true;
	case OPT_LOCALS:
		return o->locals = true;
	case OPT_REDACT:
		return o->redact = true;
	case OPT_EXIT_CODE:
		return o->exit_code = true;
	case OPT_ASCII:
		return o->ascii = true;
	case OPT_QUIET:
		return o->quiet = true;
	case OPT_VERBOSE:
		o->verbose++;
		return true;
	case OPT_VERSION:
	case OPT_HELP:
	case OPT_COUNT:
		break;
	}
	return true;
}

/* ---- parsing
 * --------------------------------------------------------------------------------------------- */

static void build_tables(struct option *longs, char *shorts)
{
	for (size_t i = 0; i < OPT_COUNT; i++) {
		longs[i] = (struct option){rows[i].name,
					   rows[i].argument ? required_argument : no_argument, NULL,
					   256 + (int)i};
		if (!rows[i].letter)
			continue;
		*shorts++ = (char)rows[i].letter;
		if (rows[i].argument)
			*shorts++ = ':';
	}
	longs[OPT_COUNT] = (struct option){0};
	*shorts = 0;
}

static enum option_id id_of(int code)
{
	for (size_t i = 0; i < OPT_COUNT && code < 256; i++)
		if (rows[i].letter == code)
			return (enum option_id)i;
	return (enum option_id)(code - 256);
}

static int find_command(const char *word)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(word, commands[i].name))
			return (int)i;
	return -1;
}

static bool wrong_value(enum option_id id, const char *value)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, value, strlen(value), VALUE_CHARS);
	fprintf(stderr, "stallscope: --%s takes %s, not '%s'\n  %s\n", rows[id].name,
		rows[id].argument, safe.data, rows[id].help);
	return false;
}

static int too_many(const char *target)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, target, strlen(target), VALUE_CHARS);
	return usage_error("too many processes at '%s'", safe.data);
}

static bool parse_options(int argc, char **argv, const char *word, struct options *o, int *status)
{
	struct option longs[OPT_COUNT + 1];
	char shorts[2 * OPT_COUNT + 1];
	unsigned allowed = o->live ? DUMP | VIEW : 1u << o->command;
	int code;

	build_tables(longs, shorts);
	*status = 2;
	while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		enum option_id id;

		if (code == '?') {
			*status = unknown_option(argv[optind - 1], allowed);
			return false;
		}
		id = id_of(code);
		if (id == OPT_HELP || id == OPT_VERSION) {
			if (id == OPT_HELP)
				print_help(word);
			else
				printf("stallscope %s\n", PACKAGE_VERSION);
			*status = fflush(stdout) ? 74 : 0;
			return false;
		}
		if (!(rows[id].commands & allowed)) {
			usage_error("--%s does not belong to this command", rows[id].name);
			return false;
		}
		if (!take(o, id, optarg))
			return wrong_value(id, optarg);
	}
	return true;
}

static bool has_servers(void)
{
	const char *urls = getenv("DEBUGINFOD_URLS");

	return urls && *urls;
}

/* Of options that do not go together; *status is then set. */
static bool fit_together(const struct options *o, int *status)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	if (!o->n_targets && (o->command == COMMAND_CHECK ||
			      (o->command == COMMAND_DUMP && (!o->live || o->dump_only)))) {
		*status = usage_error("%s", "name a process: stallscope PID");
		return false;
	}
	if (o->children && o->n_targets != 1 && o->command != COMMAND_WATCH) {
		*status = usage_error("--children takes one process, not %zu", o->n_targets);
		return false;
	}
	if (o->n_targets && o->command == COMMAND_PS) {
		*status = usage_error("%s", "ps lists all processes: name none");
		return false;
	}
	if (o->command == COMMAND_RECORD && (o->n_targets != 1 || !o->output)) {
		*status = usage_error("%s",
				      "name one process and a file: stallscope record PID -o FILE "
				      "(- is standard output)");
		return false;
	}
	if (o->command == COMMAND_REPORT && !o->n_targets) {
		*status = usage_error("%s", "name a recording: stallscope report FILE...");
		return false;
	}
	if (o->command == COMMAND_DIFF && o->n_targets != 2) {
		*status = usage_error("%s", "name two looks or recordings: stallscope diff A B");
		return false;
	}
	if (o->command == COMMAND_CONVERT && (!o->n_targets || !o->convert_given)) {
		*status =
			usage_error("%s", "name a recording and a format: stallscope convert FILE "
					  "--to FORMAT");
		return false;
	}
	if (o->command == COMMAND_WATCH && !o->n_targets && !o->all && !o->argv) {
		*status = usage_error("%s", "name a process, or a program behind --: "
					    "stallscope watch PID");
		return false;
	}
	if (o->save && o->n_targets > 1 && o->command != COMMAND_WATCH) {
		*status = usage_error("--save takes one process, not %zu: name a file for each",
				      o->n_targets);
		return false;
	}
	if (o->debuginfod && !has_servers()) {
		*status =
			usage_error("%s", "--debuginfod asks the servers in DEBUGINFOD_URLS, which "
					  "is not set: set it to their addresses");
		return false;
	}
	if (o->debuginfod && o->native == SNAP_NATIVE_NEVER) {
		*status = usage_error("%s",
				      "--debuginfod is for functions of C, which --native never "
				      "leaves out");
		return false;
	}
	if (o->save && o->redact) {
		*status = usage_error("%s", "--save writes memory as it is: --redact cannot take "
					    "anything out of that");
		return false;
	}
	for (size_t i = 0; o->freeze && i < o->n_targets; i++) {
		if (source_names_process(o->targets[i]))
			continue;
		utf8_add_safe(&safe, o->targets[i], strlen(o->targets[i]), VALUE_CHARS);
		*status = usage_error("--freeze stops a process, and '%s' is a file", safe.data);
		return false;
	}
	return true;
}

/* watch: what stands behind the first "--" is a program to be started. */
static void take_command(struct options *o, int *argc, char **argv)
{
	o->interval_ns = 10 * MS;
	o->native = SNAP_NATIVE_NEVER; /* nothing is stopped unless it is asked for */
	for (int i = 1; i + 1 < *argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		o->argv = argv + i + 1;
		*argc = i;
	}
}

static bool utf8_locale(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static bool parse_all(int argc, char **argv, const char *word, struct options *o, int *status)
{
	if (!parse_options(argc, argv, word, o, status))
		return false;
	for (int i = optind; i < argc; i++) {
		if (add_target(o, argv[i]))
			continue;
		*status = too_many(argv[i]);
		return false;
	}
	return fit_together(o, status);
}

bool options_parse(int argc, char **argv, struct options *ret, int *status)
{
	struct options o = {.for_ns = 200 * MS, .threshold_ns = 100 * MS};
	const char *word = argc > 1 ? argv[1] : NULL;
	int command = word ? find_command(word) : -1;

	if (command >= 0) {
		o.command = (enum command)command;
		argv[1] = argv[0];
		argv++;
		argc--;
	} else if (word && is_misspelled(word, status)) {
		return false;
	} else {
		o.live = true;
	}
	if (o.command == COMMAND_WATCH)
		take_command(&o, &argc, argv);
	if (!parse_all(argc, argv, command >= 0 ? word : NULL, &o, status)) {
		if (o.command == COMMAND_CHECK && *status == 2)
			*status = 3; /* a plug-in's word for "unknown" */
		return false;
	}
	if (!o.interval_ns)
		o.interval_ns = o.command == COMMAND_RECORD ? 1000 * MS : 100 * MS;
	if (!utf8_locale())
		o.ascii = true;
	*ret = o;
	return true;
}
