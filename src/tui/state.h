/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the live view as a value
 *
 * All that the screen shows follows from a struct tui_state, and that changes by events alone:
 * tui_update() has no clock, reads nothing and waits for nothing. What is to be done in the world
 * (quit, open a process, write a file) comes out as effects, which the caller carries out.
 * tui_draw() makes a grid of a state and changes nothing.
 */
#ifndef STALLSCOPE_TUI_STATE_H
#define STALLSCOPE_TUI_STATE_H

#include "seen.h"
#include "keys.h"
#include "recorded.h"
#include "stallscope/render.h"
#include "stallscope/screen.h"

#define TUI_MIN_COLS 60u
#define TUI_MIN_ROWS 15u
#define TARGETS_KEPT 256u
#define VIEWS_DEEP   8u

/* ---- what is watched -------------------------------------------------------------------------
 */

enum life { LIFE_OPENING, LIFE_LIVE, LIFE_RECORDED, LIFE_GONE, LIFE_FAILED };

struct watched {
	char *argument; /* a pid, or a file */
	enum life life;
	char message[400];		/* why it failed, or what became of it; "" nothing to say */
	struct picture *latest, *shown; /* shown stays behind while paused */
	bool have_pulse;
	struct pulse pulse;
	uint64_t pulse_at_ns; /* our clock then */
	struct seen history;
	struct recorded *recorded; /* of a recording, which has no pictures; else NULL */
	uint64_t loop;		   /* address of the one to be shown, 0: the worst */
	bool child;		   /* it was found as a child of another one */
};

/* One row of the picker. */
struct survey_row {
	int32_t pid;
	char user[24], python[16], loop[10], command[120];
	bool readable, have_loop;
	enum verdict_id id;
	char kind[32];
	int64_t late_ns;   /* held or lag, -1 unknown */
	int64_t tasks;	   /* -1 unknown */
	double cpu;	   /* of one core, < 0 unknown */
	char problem[512]; /* why it could not be read, whole as struct error has it */
	char hint[512];	   /* and what would help */
	bool marked;
};

/* ---- the rows of a list ----------------------------------------------------------------------
 */

enum row_kind {
	ROW_TEXT,
	ROW_FRAME,  /* index into frames */
	ROW_NATIVE, /* into natives */
	ROW_TASK,   /* into tasks */
	ROW_GROUP,  /* into list.groups */
	ROW_THREAD, /* into threads */
	ROW_STALL,  /* number of a stall, 0 the newest */
	ROW_HOLDER, /* into list.holders */
	ROW_PLACE,  /* into groups of a recording */
	ROW_PROCESS,
	ROW_WORKER,
};

struct row {
	enum row_kind kind;
	uint32_t index;
	uint32_t depth;	  /* of a task in the tree */
	uint8_t fold;	  /* 0 nothing below, '+' folded, '-' not folded */
	bool again;	  /* of a task in the tree: it stands elsewhere */
	uint8_t style;	  /* enum style, of ROW_TEXT */
	bool head;	  /* the cursor passes over it */
	const char *text; /* of ROW_TEXT */
};

struct list {
	struct row *v;
	size_t n, cap;
	struct arena arena; /* of texts */
	struct task_group *groups;
	size_t n_groups;
	struct seen_holder holders[HOLDERS_SHOWN];
	size_t matched, of; /* tasks that a filter lets through */
};

struct place {
	size_t cursor, top;
	uint64_t key; /* what the cursor is on, to find it again */
	bool moved;   /* by hand: until then it stays on the first line of some views */
};

/* ---- the head --------------------------------------------------------------------------------
 */

#define HEAD_MAX   40u
#define HEAD_LINES 5u /* below the verdict, on a screen of 24 lines */

struct head_line {
	const char *label, *text;
	enum style style;
};

struct head {
	struct arena arena;
	char title_left[256], title_right[128];
	char verdict[320], confidence[16];
	enum style verdict_style;
	struct head_line v[HEAD_MAX];
	unsigned n;
	bool noted; /* the first line is not of the verdict */
};

/* ---- the whole -------------------------------------------------------------------------------
 */

enum prompt { PROMPT_NONE, PROMPT_SEARCH, PROMPT_FILTER, PROMPT_THRESHOLD };

enum effect_kind {
	EFFECT_QUIT,
	EFFECT_OPEN,   /* argument: to be watched; child: as one of a group */
	EFFECT_CLOSE,  /* argument: no longer */
	EFFECT_SURVEY, /* number: 1 the picker is on, 0 it is off */
	EFFECT_REFRESH,
	EFFECT_RATE,	  /* number: looks per second */
	EFFECT_NATIVE,	  /* number: 1 functions of C are wanted too, 0 they are not */
	EFFECT_THRESHOLD, /* number: ns */
	EFFECT_COPY,	  /* text */
	EFFECT_WRITE,	  /* the picture that is shown */
	EFFECT_REDRAW,
};

struct effect {
	enum effect_kind kind;
	int64_t number;
	char text[512];
};

struct screen_layout {
	unsigned head_rows, spark_y, tabs_y, body_y, body_rows, foot_y;
	unsigned main_cols; /* of the body; the panel at its right has the rest */
	bool spark, panel;
};

/* What the head says of all tasks of a loop; counted once for a full look. */
struct summary {
	uint64_t number; /* of the full look, 0: none */
	const struct watched *of;
	uint32_t loop, states[4], oldest; /* oldest: a task, SNAP_NONE */
};

struct tui_state {
	unsigned cols, rows;
	bool ascii;
	uint64_t now_ns; /* our clock, of the last event */
	struct watched *targets[TARGETS_KEPT];
	size_t n_targets, shown; /* targets[shown], where n_targets > 0 */
	bool group;		 /* several are watched: the workers' view is the way back */
	bool children;		 /* children of targets[0] are watched too */
	struct survey_row *survey;
	size_t n_survey;
	bool surveyed; /* the first survey has come in */

	enum view view, below[VIEWS_DEEP];
	unsigned depth;
	bool chosen; /* the view was chosen by hand: it does not follow the verdict any more */
	struct place places[VIEW_COUNT];
	uint64_t subject; /* of DETAIL and MEMBERS: a task; of THREAD its tid; of STALL its turn */
	struct list list;
	struct head head;
	struct summary summary;
	struct screen_layout layout;

	enum prompt prompt;
	struct strbuf input, search, filter;
	bool filter_is_term;
	unsigned sort[VIEW_COUNT];
	bool inverted[VIEW_COUNT];
	bool paused, tree, paths, follow, evidence, advice, native;
	struct addrmap folded; /* task id -> 1 */
	int rate;	       /* looks per second */
	int64_t threshold_ns;
	char message[320];
	uint64_t message_until_ns;
	unsigned spinner;

	struct effect *effects; /* in order; the caller takes them out */
	size_t n_effects, effects_cap;
};

enum tui_event_kind {
	EVENT_KEY,	/* code */
	EVENT_RESIZE,	/* cols, rows */
	EVENT_TICK,	/* time went by */
	EVENT_PICTURE,	/* target, picture: a reference is taken over */
	EVENT_PULSE,	/* target, pulse */
	EVENT_RECORDED, /* target, recorded: taken over */
	EVENT_LIFE,	/* target, life, text */
	EVENT_WATCH,	/* text: an argument; is watched from now on; child */
	EVENT_UNWATCH,	/* target */
	EVENT_SURVEY,	/* survey, n_survey: taken over */
	EVENT_MESSAGE,	/* text */
	EVENT_CLICK,	/* x, y; twice */
	EVENT_WHEEL,	/* lines */
};

struct tui_event {
	enum tui_event_kind kind;
	uint64_t now_ns;
	uint32_t code;
	unsigned cols, rows, x, y;
	bool twice, child;
	int lines;
	size_t target;
	struct picture *picture;
	struct recorded *recorded;
	const struct pulse *pulse;
	enum life life;
	const char *text;
	struct survey_row *survey;
	size_t n_survey;
};

struct tui_settings {
	int rate;
	int64_t threshold_ns;
	bool ascii, children;
};

void tui_init(struct tui_state *s, const struct tui_settings *settings);
void tui_deinit(struct tui_state *s);
void tui_update(struct tui_state *s, const struct tui_event *e);
void tui_draw(const struct tui_state *s, struct grid *g);

/* ---- shared by the files of the state ----------------------------------------------------- */

/* The target that is shown, NULL none; its picture, NULL none yet. */
struct watched *tui_target(const struct tui_state *s);
const struct picture *tui_picture(const struct tui_state *s);

/* What a recording says that is shown, NULL where it is none. */
const struct recorded *tui_recorded(const struct tui_state *s);

/* The stall of a recording that the head tells of; HISTORY_NONE none. */
uint32_t tui_recorded_stall(const struct tui_state *s);

/* Nothing that is shown goes on: there is nothing to look at again. */
bool tui_is_over(const struct tui_state *s);
bool tui_has_action(const struct tui_state *s, enum action action);

/* The loop that is shown; SNAP_NONE: the process. */
uint32_t tui_loop(const struct tui_state *s);
uint32_t watched_loop(const struct watched *w, const struct picture *p);
const struct pulse_loop *watched_pulse(const struct watched *w, uint64_t loop);

/* The target's clock now; 0 unknown. */
uint64_t watched_clock(const struct watched *w, uint64_t now_ns);

/* How late a loop is now and what is said of it, with the pulse in it. */
int64_t watched_late(const struct watched *w, const struct picture *p, uint32_t loop);

void tui_effect(struct tui_state *s, enum effect_kind kind, int64_t number, const char *text);
void tui_say(struct tui_state *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tui_go(struct tui_state *s, enum view view);
bool tui_back(struct tui_state *s);

/* Keys and clicks (input.c); whether rows have to be made anew. */
bool tui_key(struct tui_state *s, uint32_t code);
bool tui_click(struct tui_state *s, unsigned x, unsigned y, bool twice);
void tui_scroll(struct tui_state *s, int lines);

/* Lines of the head; wrapped at words, at most `most` of them. */
void head_add(struct head *h, enum style style, const char *label, const char *text);
void head_add_wrapped(const struct tui_state *s, struct head *h, enum style style,
		      const char *label, const char *text, unsigned most);
void head_recorded(struct tui_state *s); /* head_recorded.c */

/* Makes the rows of the view (list.c), the head (head.c), and where they go (layout.c). */
void list_build(struct tui_state *s);
void head_build(struct tui_state *s);
void layout_build(struct tui_state *s);
void list_place(struct tui_state *s); /* keeps the cursor on what it was on, and in sight */
uint64_t list_key(const struct tui_state *s, const struct row *row);

/* Rows of some views. */
void list_add_text(struct list *list, enum style style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void list_add_head(struct list *list, const char *text);
struct row *list_add(struct list *list, enum row_kind kind, uint32_t index);
/* Words of text that fit into so many columns, at least one; what is left of it. */
const char *take_words(const char *text, size_t room, struct strbuf *line);
void list_add_wrapped(struct list *list, enum style style, const char *indent, const char *text,
		      unsigned width);
void list_stack(struct tui_state *s);	 /* list_stack.c */
void list_thread(struct tui_state *s);	 /* list_stack.c */
void list_tasks(struct tui_state *s);	 /* list_tasks.c */
void list_groups(struct tui_state *s);	 /* list_tasks.c */
void list_members(struct tui_state *s);	 /* list_tasks.c */
void list_detail(struct tui_state *s);	 /* list_detail.c */
void list_help(struct tui_state *s);	 /* list_help.c */
void list_recorded(struct tui_state *s); /* list_recorded.c */

/* Columns and rows on the grid (draw_rows.c). */
void draw_columns(const struct tui_state *s, struct grid *g, unsigned y, unsigned width);
void draw_row(const struct tui_state *s, struct grid *g, unsigned y, unsigned width,
	      const struct row *row);
bool view_has_columns(const struct tui_state *s);
unsigned view_sorts(enum view view); /* columns that rows can be sorted by */
const char *view_sort_name(enum view view, unsigned column);

/* The sign of a verdict, beside its word: colour is never needed to tell them apart. */
const char *verdict_sign(enum verdict_id id);
enum style verdict_style(enum verdict_id id);

/* The keys at the foot: calls each with where it stands; stops when it returns true. */
typedef bool foot_fn(void *arg, unsigned x, unsigned width, const struct key_row *row);
void foot_keys(const struct tui_state *s, foot_fn *each, void *arg);

/* Places of the tabs, likewise. */
typedef bool tab_fn(void *arg, unsigned x, unsigned width, enum view view, const char *text);
void tab_names(const struct tui_state *s, tab_fn *each, void *arg);

#endif
