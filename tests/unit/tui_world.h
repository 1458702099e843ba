/* SPDX-License-Identifier: Apache-2.0 */
/* tui_world.h - a live view over processes made by hand */
#ifndef STALLSCOPE_TESTS_TUI_WORLD_H
#define STALLSCOPE_TESTS_TUI_WORLD_H

#include "render_world.h"
#include "tui/state.h"

#define OUR_NS UINT64_C(5000000000) /* our clock; the target's is another */

struct view_world {
	struct world w;
	struct tui_state s;
	struct grid g;
};

typedef void make_fn(struct world *w);

static inline void event(struct view_world *v, struct tui_event e)
{
	if (!e.now_ns)
		e.now_ns = v->s.now_ns ? v->s.now_ns : OUR_NS;
	tui_update(&v->s, &e);
}

static inline void press(struct view_world *v, uint32_t code)
{
	event(v, (struct tui_event){.kind = EVENT_KEY, .code = code});
}

static inline void type(struct view_world *v, const char *keys)
{
	for (; *keys; keys++)
		press(v, *keys == '\n' ? (uint32_t)INPUT_ENTER : (uint32_t)(unsigned char)*keys);
}

static inline void resize(struct view_world *v, unsigned cols, unsigned rows)
{
	event(v, (struct tui_event){.kind = EVENT_RESIZE, .cols = cols, .rows = rows});
}

/* A new picture of the world as it is now, for target 0; its diagnosis is handed over. */
static inline void show_picture(struct view_world *v)
{
	struct pulse pulse;
	struct picture *p = picture_new(NULL, &v->w.s, v->w.d);

	v->w.d = NULL;
	pulse_make(&p->snap, &pulse);
	event(v, (struct tui_event){.kind = EVENT_PULSE, .pulse = &pulse});
	event(v, (struct tui_event){.kind = EVENT_PICTURE, .picture = p});
}

static inline void view_init(struct view_world *v, make_fn *make, unsigned cols, unsigned rows)
{
	struct tui_settings settings = {.rate = 10, .threshold_ns = 100 * MS};

	memset(v, 0, sizeof(*v));
	tui_init(&v->s, &settings);
	resize(v, cols, rows);
	event(v, (struct tui_event){.kind = EVENT_WATCH, .text = "4242"});
	event(v, (struct tui_event){.kind = EVENT_LIFE, .life = LIFE_LIVE});
	if (!make)
		return;
	make(&v->w);
	show_picture(v);
}

static inline void view_deinit(struct view_world *v)
{
	tui_deinit(&v->s);
	grid_deinit(&v->g);
	world_deinit(&v->w);
}

static inline struct strbuf screen_of(struct view_world *v)
{
	struct strbuf text = STRBUF_INIT;

	tui_draw(&v->s, &v->g);
	grid_text(&v->g, &text);
	return text;
}

static inline void assert_shows(struct view_world *v, const char *text)
{
	struct strbuf screen = screen_of(v);

	if (!strstr(screen.data, text))
		fail_msg("not on the screen: %s\n%s", text, screen.data);
	strbuf_deinit(&screen);
}

#endif
