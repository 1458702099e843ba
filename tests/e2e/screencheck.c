/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screencheck CORE COLSxROWS KEYS...: the screens of the live view over a recorded core, as text.
 * One is printed for each of KEYS, which are pressed one after the other; "-" presses none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/state.h"

#define NOW UINT64_C(1000000000)

static void send(struct tui_state *s, struct tui_event e)
{
	e.now_ns = NOW;
	tui_update(s, &e);
}

static void press(struct tui_state *s, const char *keys)
{
	for (; *keys; keys++)
		send(s, (struct tui_event){.kind = EVENT_KEY,
					   .code = *keys == '\n' ? INPUT_ENTER
						   : *keys == '\x1b'
							   ? INPUT_ESC
							   : (uint32_t)(unsigned char)*keys});
}

static void print(const struct tui_state *s, const char *keys)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct grid g = {0};

	tui_draw(s, &g);
	grid_text(&g, &text);
	printf("==== keys: ");
	for (; *keys; keys++)
		fputs(*keys == '\n'	? "Enter"
		      : *keys == '\x1b' ? "Esc"
					: (char[]){*keys, 0},
		      stdout);
	printf("\n%s", text.data);
	grid_deinit(&g);
}

static bool load(struct tui_state *s, const char *core)
{
	struct opened *target;
	struct picture *p;
	struct pulse pulse;
	struct error err;

	if (!opened_open(core, &target, &err) ||
	    !picture_of_recording(target, 0, s->threshold_ns, &p, &err)) {
		fprintf(stderr, "screencheck: %s\n", err.text);
		return false;
	}
	opened_unref(target);
	pulse_make(&p->snap, &pulse);
	send(s, (struct tui_event){.kind = EVENT_WATCH, .text = "core"});
	send(s, (struct tui_event){.kind = EVENT_LIFE, .life = LIFE_RECORDED});
	send(s, (struct tui_event){.kind = EVENT_PULSE, .pulse = &pulse});
	send(s, (struct tui_event){.kind = EVENT_PICTURE, .picture = p});
	return true;
}

int main(int argc, char **argv)
{
	struct tui_settings settings = {.rate = 10, .threshold_ns = 100000000};
	unsigned cols, rows;
	struct tui_state s;

	if (argc < 4 || sscanf(argv[2], "%ux%u", &cols, &rows) != 2) {
		fprintf(stderr, "usage: screencheck CORE COLSxROWS KEYS...\n");
		return 2;
	}
	if (!culprits_load(NULL, NULL))
		return 1;
	tui_init(&s, &settings);
	send(&s, (struct tui_event){.kind = EVENT_RESIZE, .cols = cols, .rows = rows});
	if (!load(&s, argv[1]))
		return 1;
	for (int i = 3; i < argc; i++) {
		press(&s, strcmp(argv[i], "-") != 0 ? argv[i] : "");
		print(&s, argv[i]);
	}
	tui_deinit(&s);
	return 0;
}
