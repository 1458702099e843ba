/* SPDX-License-Identifier: Apache-2.0 */
/* test_render_wait.c - what a blocked thread waits for, as text and as JSON */
#include <jansson.h>
#include <sys/syscall.h>

#include "render_world.h"

struct wait_case {
	const char *line; /* the line of the text, wrapped ones joined */
	struct snap_wait_fd fd;
	struct snap_blocked blocked;
	const char *waits_for;
};

#define FDS(number) \
	.kind = SNAP_BLOCKED_FDS, .n_fds = (number) < 16 ? (number) : 16, .fds_total = (number)
#define NO_FD .fd = -1

static const struct wait_case cases[] = {
	{"  peer       10.0.3.17:443, ESTABLISHED, nothing received, no timeout is set",
	 {.fd = 6, .kind = SNAP_FD_TCP, .peer = "10.0.3.17:443", .tcp_state = "ESTABLISHED"},
	 {FDS(1), .timeout = SNAP_TIMEOUT_NONE},
	 "descriptors"},
	{"  peer       10.0.3.17:443, SYN_SENT, the connection is not answered, sent again 3 "
	 "times, "
	 "timeout 5.00 s",
	 {.fd = 6,
	  .kind = SNAP_FD_TCP,
	  .peer = "10.0.3.17:443",
	  .tcp_state = "SYN_SENT",
	  .retransmits = 3,
	  .unsent = 1},
	 {FDS(1), .timeout = SNAP_TIMEOUT_SET, .have_timeout_s = true, .timeout_s = 5},
	 "descriptors"},
	{"  peer       10.0.0.2:53 (a DNS server), UDP, nothing received; one of 20 descriptors",
	 {.fd = 6, .kind = SNAP_FD_UDP, .peer = "10.0.0.2:53", .is_dns = true},
	 {FDS(20)},
	 "descriptors"},
	{"  waits on   a client of 0.0.0.0:80",
	 {.fd = 6, .kind = SNAP_FD_TCP, .local = "0.0.0.0:80", .tcp_state = "LISTEN"},
	 {FDS(1)},
	 "descriptors"},
	{"  waits on   UDP socket at 0.0.0.0:68, nothing received",
	 {.fd = 6, .kind = SNAP_FD_UDP, .local = "0.0.0.0:68"},
	 {FDS(1)},
	 "descriptors"},
	{"  waits on   unix socket, unnamed",
	 {.fd = 6, .kind = SNAP_FD_UNIX},
	 {FDS(1)},
	 "descriptors"},
	{"  waits on   /srv/data (deleted), no timeout is set",
	 {.fd = 6, .kind = SNAP_FD_FILE, .path = "/srv/data", .deleted = true},
	 {FDS(1), .timeout = SNAP_TIMEOUT_NONE},
	 "descriptors"},
	{"  waits on   pipe, read end; written by pid 77 (sleep 60) and 2 others",
	 {.fd = 6, .kind = SNAP_FD_PIPE, .end = SNAP_END_READ, .path = "pipe:[7]"},
	 {FDS(1), .pid = 77, .command = "sleep 60", .others = 2},
	 "descriptors"},
	{"  waits on   FIFO /tmp/f, write end; its reader was not found in 12 of 40 processes",
	 {.fd = 6, .kind = SNAP_FD_FIFO, .end = SNAP_END_WRITE, .path = "/tmp/f"},
	 {FDS(1), .searched = true, .looked_at = 12, .processes = 40},
	 "descriptors"},
	{"  child      pid 77 (make all), state D, began 2.50 s ago",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_CHILD, .pid = 77, .command = "make all", .state = 'D', .age_s = 2.5},
	 "child"},
	{"  child      pid 77, no timeout is set",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_CHILD, .pid = 77, .age_s = -1, .timeout = SNAP_TIMEOUT_NONE},
	 "child"},
	{"  lock       on /tmp/x, held by pid 77 (backup.sh) [/proc/locks]",
	 {.fd = 6, .kind = SNAP_FD_FILE, .path = "/tmp/x"},
	 {.kind = SNAP_BLOCKED_FILE_LOCK,
	  .n_fds = 1,
	  .fds_total = 1,
	  .pid = 77,
	  .command = "backup.sh",
	  .lock_kind = "FLOCK"},
	 "file lock"},
	{"  lock       on /tmp/x, OFDLCK, of an open file, not of a process [/proc/locks]",
	 {.fd = 6, .kind = SNAP_FD_FILE, .path = "/tmp/x"},
	 {.kind = SNAP_BLOCKED_FILE_LOCK, .n_fds = 1, .fds_total = 1, .lock_kind = "OFDLCK"},
	 "file lock"},
	{"  lock       on /tmp/x, its holder is not known",
	 {.fd = 6, .kind = SNAP_FD_FILE, .path = "/tmp/x"},
	 {.kind = SNAP_BLOCKED_FILE_LOCK, .n_fds = 1, .fds_total = 1},
	 "file lock"},
	{"  waits on   open of /tmp/f, a FIFO that nobody has opened at its other end",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_OPEN, .path = "/tmp/f", .fifo = true},
	 "open"},
	{"  sleep      30.00 s, 12.50 s left",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_SLEEP,
	  .timeout = SNAP_TIMEOUT_SET,
	  .have_timeout_s = true,
	  .timeout_s = 30,
	  .have_left_s = true,
	  .left_s = 12.5},
	 "sleep"},
	{"  lock       held by thread log-writer/4250 (app/server.py:41), gives up in 1.50 s",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_FUTEX,
	  .lock = 0x7f0000000040,
	  .holder = SNAP_HOLDER_THREAD,
	  .holder_thread = 1,
	  .holder_certain = true,
	  .holder_frame = THREAD_FRAMES + 1,
	  .timeout = SNAP_TIMEOUT_SET,
	  .have_left_s = true,
	  .left_s = 1.5},
	 "lock"},
	{"  lock       likely held by thread log-writer/4250 (taken at: "
	 "app/server.py:41)",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_FUTEX,
	  .lock = 0x7f0000000040,
	  .holder = SNAP_HOLDER_THREAD,
	  .holder_thread = 1,
	  .holder_frame = THREAD_FRAMES + 1},
	 "lock"},
	{"  lock       perhaps held by thread log-writer/4250 (in a local variable: "
	 "app/server.py:41)",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_FUTEX,
	  .lock = 0x7f0000000040,
	  .holder = SNAP_HOLDER_THREAD,
	  .holder_thread = 1,
	  .holder_by_local = true,
	  .holder_frame = THREAD_FRAMES + 1},
	 "lock"},
	{"  lock       likely held by task conn-0, which awaits inside its with (taken at: "
	 "app/server.py:41)",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_FUTEX,
	  .lock = 0x7f0000000040,
	  .holder = SNAP_HOLDER_TASK,
	  .holder_task = 0,
	  .holder_frame = THREAD_FRAMES + 1},
	 "lock"},
	{"  lock       its holder is not known: the threads' frames do not show it",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_FUTEX, .lock = 0x7f0000000040, .holder_frame = SNAP_NONE},
	 "lock"},
	{"  joins      thread log-writer/4250, no timeout is set",
	 {NO_FD},
	 {.kind = SNAP_BLOCKED_FUTEX,
	  .waits_for_end = true,
	  .holder = SNAP_HOLDER_THREAD,
	  .holder_thread = 1,
	  .holder_certain = true,
	  .holder_frame = SNAP_NONE,
	  .timeout = SNAP_TIMEOUT_NONE},
	 "thread"},
};

static void make_waiting(struct world *w, const struct wait_case *c)
{
	make_blocked(w);
	w->loop.wait = c->fd;
	w->loop.blocked = c->blocked;
	for (uint32_t i = 0; i < c->blocked.n_fds; i++)
		w->loop.blocked.fds[i] = c->fd;
}

/* The text with each run of blanks made one. */
static struct strbuf squeezed(const char *text)
{
	struct strbuf out = STRBUF_INIT;

	for (; *text; text++) {
		char c = *text == '\n' ? ' ' : *text;

		if (c != ' ' || (out.len && out.data[out.len - 1] != ' '))
			strbuf_addch(&out, c);
	}
	return out;
}

static void test_lines(void **state)
{
	static const struct render_options options = {.width = 80, .threshold_s = 0.1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct strbuf text = STRBUF_INIT, all, line;
		struct world w;

		make_waiting(&w, &cases[i]);
		render_text(&w.s, w.d, &options, &text);
		all = squeezed(text.data);
		line = squeezed(cases[i].line);
		strbuf_addstr(&line, " suffering"); /* nothing more is said */
		if (!strstr(all.data, line.data))
			fail_msg("case %zu: no '%s' in\n%s", i, line.data, text.data);
		strbuf_deinit(&text);
		strbuf_deinit(&all);
		strbuf_deinit(&line);
		world_deinit(&w);
	}
}

static json_t *what_of(const struct world *w)
{
	static const struct render_options options = {.width = 80, .threshold_s = 0.1};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *root, *what;

	assert_true(render_json(&w->s, w->d, &options, out));
	fclose(out);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	what = json_deep_copy(
		json_object_get(json_array_get(json_object_get(root, "loops"), 0), "what"));
	json_decref(root);
	free(text);
	return what;
}

static const char *word(const json_t *what, const char *key)
{
	const char *text = json_string_value(json_object_get(what, key));

	return text ? text : "";
}

static void test_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct wait_case *c = &cases[i];
		struct world w;
		json_t *what;

		make_waiting(&w, c);
		what = what_of(&w);
		assert_string_equal(word(what, "waits_for"), c->waits_for);
		assert_int_equal(json_array_size(json_object_get(what, "descriptors")),
				 c->blocked.n_fds);
		assert_int_equal(json_integer_value(json_object_get(what, "descriptors_total")),
				 c->blocked.fds_total);
		assert_string_equal(word(what, "holder_command"),
				    c->blocked.command ? c->blocked.command : "");
		assert_int_equal(json_is_true(json_object_get(what, "holder_certain")),
				 c->blocked.holder_certain);
		assert_int_equal(json_is_null(json_object_get(what, "holder_thread")),
				 c->blocked.holder != SNAP_HOLDER_THREAD);
		assert_int_equal(json_is_null(json_object_get(what, "unread_bytes")),
				 c->fd.kind != SNAP_FD_TCP && c->fd.kind != SNAP_FD_UDP);
		json_decref(what);
		world_deinit(&w);
	}
}

/* Unknown is null, not an empty list and not 0. */
static void test_unknown(void **state)
{
	static const char *const keys[] = {"waits_for",
					   "fd",
					   "peer",
					   "path",
					   "tcp_state",
					   "unread_bytes",
					   "timeout",
					   "timeout_s",
					   "timeout_left_s",
					   "descriptors",
					   "descriptors_total",
					   "holder_pid",
					   "holder_command",
					   "holder_state",
					   "holder_age_s",
					   "holder_search",
					   "holder_thread",
					   "holder_task",
					   "holder_frame",
					   "holder_certain"};
	struct wait_case nothing = {.fd = {NO_FD}};
	struct world w;
	json_t *what;

	(void)state;
	make_waiting(&w, &nothing);
	what = what_of(&w);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!json_is_null(json_object_get(what, keys[i])))
			fail_msg("%s is not null", keys[i]);
	json_decref(what);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests_name("render_wait", tests, NULL, NULL);
}
