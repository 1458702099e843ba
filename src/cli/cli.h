/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - commands and options
 *
 * One table of options (options.c) is parsed, printed by --help and compared with
 * the manual page by a test. One file per command; each takes parsed options and
 * returns the exit status of the process.
 */
#ifndef STALLSCOPE_CLI_H
#define STALLSCOPE_CLI_H

#include "stallscope/render.h"
#include "stallscope/report.h"

enum command {
	COMMAND_DUMP,
	COMMAND_VIEW,
	COMMAND_RECORD,
	COMMAND_WATCH,
	COMMAND_REPORT,
	COMMAND_DIFF,
	COMMAND_CONVERT,
	COMMAND_CHECK,
	COMMAND_PS,
	COMMAND_EXPLAIN,
	COMMAND_DOCTOR,
	COMMAND_COUNT
};

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_MARKDOWN, FORMAT_HTML };
enum theme { THEME_DEFAULT, THEME_MONO, THEME_LIGHT, THEME_DARK, THEME_CB };
enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

#define TARGETS_MAX 1024u
#define LABELS_MAX  32u
#define FILTERS_MAX 32u

struct options {
	enum command command;
	const char *targets[TARGETS_MAX]; /* pids or files, as given; the words of a name */
	size_t n_targets;
	int64_t for_ns, threshold_ns;
	bool for_given;
	int64_t interval_ns;
	uint64_t count; /* 0: no end */
	enum format format;
	bool convert_given;
	enum convert_format convert;
	enum color color;
	enum snap_native_mode native;
	bool debuginfod;
	enum render_tasks tasks;
	bool tasks_given;
	uint64_t max_tasks;
	const char *output, *save, *dump_layout, *culprits, *exec;
	char *const *argv; /* of the program to be started, NULL none */
	bool all, children;
	bool ascii, exit_code, quiet, freeze, locals, redact;
	bool live; /* no command was named: the live view, where there is a terminal */
	bool no_mouse;
	bool dump_only; /* an option was given that only a one-shot answer has */
	bool look_only; /* ... and a report has not */
	enum theme theme;
	int verbose;
	struct render_label labels[LABELS_MAX];
	size_t n_labels;
	const char *filters[FILTERS_MAX]; /* KEY=PATTERN, checked */
	size_t n_filters;
};

/*
 * Parses argv. False when the process is to end with *status: after --help and --version
 * (0), or a usage error (2, already printed).
 */
bool options_parse(int argc, char **argv, struct options *ret, int *status);

/* "250ms", "2s", "1m", "0"; plain numbers are seconds. False when it is none of that. */
bool parse_duration(const char *text, int64_t *ns);

int command_dump(const struct options *o);
int command_live(const struct options *o);
int command_record(const struct options *o);
int command_watch(const struct options *o);
int command_report(const struct options *o);
int command_diff(const struct options *o);
int command_convert(const struct options *o);
int command_check(const struct options *o);
int command_ps(const struct options *o);
int command_explain(const struct options *o);
int command_doctor(const struct options *o);

/* Prints an error and its hint on standard error; returns the exit status for it. */
int report_error(const struct error *err);

/* A target opened: the process or core behind one argument. */
struct target {
	struct source *src;
	struct process *proc;
	struct python *py;
};

/* Opens a pid or a file. Python is found too unless without_python. */
bool target_open(const char *argument, bool without_python, struct target *ret, struct error *err);
void target_close(struct target *t);

/*
 * Where output goes: standard output, or a temporary file that output_commit() renames to
 * the path, so that no reader sees half of it.
 */
struct output {
	FILE *file;
	char *path, *temporary;
};

bool output_open(const char *path, struct output *ret, struct error *err);
bool output_commit(struct output *out, struct error *err); /* flushes, renames, closes */
void output_abandon(struct output *out);		   /* nothing appears at the path */

/* Columns of text: what COLUMNS says, or the terminal that fd is; 80 anywhere else. */
size_t output_width(int fd);
size_t text_width(const struct options *o); /* of what write_text() writes */

/* The text to where the options want it; the exit status. */
int write_text(const struct options *o, const struct strbuf *text);

/*
 * A file of lines that grows while it is written (lines.c): a line is there as a whole or not at
 * all, also when the disk is full. Never over an existing file or through a symbolic link. What is
 * written survives our own death at once, that of the machine after line_file_close().
 */
struct line_file {
	int fd;
	bool regular;
	int64_t size; /* of whole lines, of a regular file */
	char *path;   /* NULL: standard output */
};

bool line_file_open(const char *path, struct line_file *ret, struct error *err);
bool line_file_write(struct line_file *f, const char *text, size_t len, struct error *err);
bool line_file_close(struct line_file *f, struct error *err);

#endif
