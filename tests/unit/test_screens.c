/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_screens.c - all views over processes made by hand, in three sizes, as text
 *
 * The screens are in tests/golden/screens. After a change that is meant, write them anew and look
 * at the difference:
 *
 *	UPDATE_GOLDEN=1 srcdir=. build/tests/unit/test_screens && git diff tests/golden
 */
#include "tui_world.h"

#include "golden.h"

static const struct {
	const char *name;
	make_fn *make;
} worlds[] = {
	{"blocked", make_blocked}, {"cpu", make_cpu},	      {"overloaded", make_overloaded},
	{"healthy", make_healthy}, {"no-loop", make_no_loop}, {"stopped", make_stopped},
	{"hostile", make_hostile}, {"aged", make_aged},
};

static const struct {
	unsigned cols, rows;
} sizes[] = {{80, 24}, {120, 40}, {60, 15}};

static void assert_screen(const char *name, unsigned cols, unsigned rows, const struct strbuf *text)
{
	char path[64];

	snprintf(path, sizeof(path), "screens/%s-%ux%u", name, cols, rows);
	assert_golden(path, text);
}

static void add_screen(struct view_world *v, const char *what, struct strbuf *out)
{
	struct strbuf screen = screen_of(v);

	strbuf_addf(out, "==== %s\n%s", what, screen.data);
	strbuf_deinit(&screen);
}

static void all_views(struct view_world *v, struct strbuf *out)
{
	static const struct {
		const char *what, *keys;
	} steps[] = {{"as it begins", ""},     {"stack", "1"},
		     {"tasks", "2"},	       {"tree", "t"},
		     {"task", "\n"},	       {"groups", "q3"},
		     {"members", "\n"},	       {"history", "q4"},
		     {"stall", "\n"},	       {"threads", "q5"},
		     {"thread", "\n"},	       {"evidence", "q1e"},
		     {"advice", "ea"},	       {"paths", "aL"},
		     {"filter", "L3\\conn\n"}, {"search prompt", "c2/con"}};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		type(v, steps[i].keys);
		/* where there was nothing to open, q has left: that is an effect, no other screen
		 */
		add_screen(v, steps[i].what, out);
	}
}

static void test_golden(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct strbuf text = STRBUF_INIT;
			struct view_world v;

			view_init(&v, worlds[i].make, sizes[k].cols, sizes[k].rows);
			all_views(&v, &text);
			assert_screen(worlds[i].name, sizes[k].cols, sizes[k].rows, &text);
			strbuf_deinit(&text);
			view_deinit(&v);
		}
}

/* ---- views of several processes, and of none ------------------------------------------------ */

static void add_survey(struct view_world *v)
{
	static const struct survey_row rows[] = {
		{.pid = 4240,
		 .user = "app",
		 .python = "3.12.1",
		 .loop = "-",
		 .readable = true,
		 .late_ns = -1,
		 .tasks = -1,
		 .cpu = 0,
		 .command = "gunicorn master"},
		{.pid = 4242,
		 .user = "app",
		 .python = "3.12.1",
		 .loop = "asyncio",
		 .readable = true,
		 .have_loop = true,
		 .id = VERDICT_STALLED,
		 .late_ns = 4830 * MS,
		 .tasks = 412,
		 .cpu = 0,
		 .command = "uvicorn worker"},
		{.pid = 4243,
		 .user = "app",
		 .python = "3.12.1",
		 .loop = "asyncio",
		 .readable = true,
		 .have_loop = true,
		 .id = VERDICT_HEALTHY,
		 .late_ns = MS / 3,
		 .tasks = 388,
		 .cpu = 0.11,
		 .command = "uvicorn worker"},
		{.pid = 977,
		 .user = "bob",
		 .python = "3.13.0",
		 .loop = "uvloop",
		 .readable = true,
		 .have_loop = true,
		 .id = VERDICT_OVERLOADED,
		 .late_ns = 350 * MS,
		 .tasks = 40031,
		 .cpu = 0.99,
		 .command = "python crawler.py",
		 .marked = true},
		{.pid = 1313,
		 .user = "root",
		 .python = "?",
		 .loop = "?",
		 .late_ns = -1,
		 .tasks = -1,
		 .cpu = 0.01,
		 .command = "celery worker",
		 .problem = "process 1313 belongs to uid 0: beside CAP_SYS_PTRACE it takes "
			    "CAP_DAC_READ_SEARCH to open its memory, which is not here",
		 .hint = "run stallscope as that user or with CAP_SYS_PTRACE (sudo), or give the "
			 "program the right: setcap cap_sys_ptrace,cap_dac_read_search+ep "
			 "$(command -v stallscope), as its manual page has it"}};
	struct survey_row *copy = mem_alloc(sizeof(rows));

	memcpy(copy, rows, sizeof(rows));
	event(v, (struct tui_event){
			 .kind = EVENT_SURVEY, .survey = copy, .n_survey = ARRAY_SIZE(rows)});
}

static void add_worker(struct view_world *v, const char *pid, size_t target, make_fn *make)
{
	struct world w;
	struct pulse pulse;
	struct picture *p;

	event(v, (struct tui_event){.kind = EVENT_WATCH, .text = pid});
	event(v, (struct tui_event){.kind = EVENT_LIFE, .target = target, .life = LIFE_LIVE});
	if (!make)
		return;
	make(&w);
	p = picture_new(NULL, &w.s, w.d);
	pulse_make(&p->snap, &pulse);
	event(v, (struct tui_event){.kind = EVENT_PULSE, .target = target, .pulse = &pulse});
	event(v, (struct tui_event){.kind = EVENT_PICTURE, .target = target, .picture = p});
	/* what w holds is on this stack: nothing of it may be shown later */
	v->s.targets[target]->shown->snap.process = v->w.s.process;
	v->s.targets[target]->shown->snap.codes = v->w.s.codes;
	v->s.targets[target]->shown->snap.frames = v->w.s.frames;
	v->s.targets[target]->shown->snap.details = v->w.s.details;
	v->s.targets[target]->shown->snap.threads = v->w.s.threads;
	v->s.targets[target]->shown->snap.tasks = v->w.s.tasks;
}

static void test_others(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct tui_settings settings = {.rate = 10, .threshold_ns = 100 * MS};
		struct strbuf text = STRBUF_INIT;
		struct view_world v = {.s = {.cols = 0}};

		tui_init(&v.s, &settings);
		resize(&v, sizes[k].cols, sizes[k].rows);
		add_screen(&v, "picker, before the first answer", &text);
		add_survey(&v);
		add_screen(&v, "picker", &text);
		type(&v, "?");
		add_screen(&v, "help", &text);
		press(&v, INPUT_PAGE_DOWN);
		add_screen(&v, "help, next page", &text);
		tui_deinit(&v.s);
		grid_deinit(&v.g);

		view_init(&v, make_blocked, sizes[k].cols, sizes[k].rows);
		add_worker(&v, "4243", 1, make_healthy);
		add_worker(&v, "4244", 2, NULL);
		event(&v, (struct tui_event){.kind = EVENT_LIFE,
					     .target = 2,
					     .life = LIFE_FAILED,
					     .text = "no permission to read process 4244"});
		add_screen(&v, "workers", &text);
		event(&v, (struct tui_event){.kind = EVENT_LIFE,
					     .target = 0,
					     .life = LIFE_GONE,
					     .text = "the process has ended"});
		type(&v, "\n");
		add_screen(&v, "a process that has ended", &text);
		type(&v, "]]");
		add_screen(&v, "one that cannot be read", &text);
		assert_screen("others", sizes[k].cols, sizes[k].rows, &text);
		strbuf_deinit(&text);
		view_deinit(&v);
	}
}

/* ---- a recording ----------------------------------------------------------------------------- */

static void show_recording(struct view_world *v)
{
	const char *srcdir = getenv("srcdir");
	struct tui_event e = {.kind = EVENT_RECORDED};
	struct error err;
	char path[512], note[400];

	snprintf(path, sizeof(path), "%s/tests/golden/recording.jsonl", srcdir ? srcdir : ".");
	if (!recorded_read(path, &e.recorded, &err))
		fail_msg("%s", err.text);
	recorded_note(e.recorded, note, sizeof(note));
	event(v, (struct tui_event){.kind = EVENT_LIFE, .life = LIFE_RECORDED, .text = note});
	event(v, e);
}

static void test_recording(void **state)
{
	static const struct {
		const char *what, *keys;
	} steps[] = {{"as it begins", ""},
		     {"next stall", "j"},
		     {"stall", "\n"},
		     {"groups", "q3"},
		     {"by age", "s"},
		     {"stack", "1"},
		     {"tasks", "2"},
		     {"threads", "5"},
		     {"the worst holder", "4Gkk"},
		     {"its worst", "\n"},
		     {"advice", "qa"},
		     {"filter", "a\\sleep\n"},
		     {"nothing to look at", "c p+-T"}};

	(void)state;
	setenv("TZ", "UTC", 1);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct strbuf text = STRBUF_INIT;
		struct view_world v;

		view_init(&v, NULL, sizes[k].cols, sizes[k].rows);
		show_recording(&v);
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			type(&v, steps[i].keys);
			add_screen(&v, steps[i].what, &text);
		}
		assert_screen("recording", sizes[k].cols, sizes[k].rows, &text);
		strbuf_deinit(&text);
		view_deinit(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden),
					   cmocka_unit_test(test_others),
					   cmocka_unit_test(test_recording)};

	if (!culprits_load(NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
