/* SPDX-License-Identifier: Apache-2.0 */
/* curses.c - cells to a terminal, keys from it; nothing else includes curses */
#include "terminal.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DOUBLE_CLICK_NS INT64_C(400000000)

static struct terminal {
	bool open, lost, utf8;
	SCREEN *screen;
	FILE *in; /* NULL: standard input */
	int fd;
	struct termios before;
	char restore[256]; /* what puts the screen back, for a handler that may call nothing */
	size_t restore_len;
	chtype styles[STYLE_COUNT];
	short pairs[STYLE_COUNT];
	int64_t clicked_ns;
	unsigned clicked_x, clicked_y;
	struct cell *shown; /* what is on the screen */
	size_t n_shown;
} term;

/* ---- colours -----------------------------------------------------------------------------------
 */

struct look {
	attr_t attributes;
	short color256, color8; /* -1: that of the terminal */
};

/* Blue and orange are told apart by nearly everybody; the words say it all without them. */
static const struct look looks[STYLE_COUNT] = {
	[STYLE_PLAIN] = {A_NORMAL, -1, -1},
	[STYLE_TITLE] = {A_BOLD, -1, -1},
	[STYLE_BAD] = {A_BOLD | A_REVERSE, 208, COLOR_YELLOW},
	[STYLE_WARN] = {A_BOLD, 179, COLOR_YELLOW},
	[STYLE_GOOD] = {A_BOLD, 75, COLOR_BLUE},
	[STYLE_LABEL] = {A_NORMAL, 110, COLOR_CYAN},
	[STYLE_OWN] = {A_BOLD, -1, -1},
	[STYLE_DIM] = {A_DIM, -1, -1},
	[STYLE_HEAD] = {A_NORMAL, 110, COLOR_CYAN},
	[STYLE_KEY] = {A_BOLD, 110, COLOR_CYAN},
};

/* On a light ground yellow is not seen. */
static short color_of(const struct look *look, enum tui_theme theme)
{
	short color = COLORS >= 256 ? look->color256 : look->color8;

	if (theme != TUI_THEME_LIGHT || color < 0)
		return color;
	if (look->color8 == COLOR_YELLOW)
		return COLORS >= 256 ? 130 : COLOR_RED;
	return COLORS >= 256 ? 25 : COLOR_BLUE;
}

static void choose_styles(const struct tui_options *o)
{
	bool colors = !o->no_color && o->theme != TUI_THEME_MONO && has_colors();
	short pair = 1;

	if (colors) {
		start_color();
		use_default_colors();
	}
	for (unsigned i = 0; i < STYLE_COUNT; i++) {
		short color = colors ? color_of(&looks[i], o->theme) : -1;

		term.styles[i] = looks[i].attributes;
		term.pairs[i] = 0;
		if (color < 0 || pair >= COLOR_PAIRS || init_pair(pair, color, -1) == ERR)
			continue;
		term.pairs[i] = pair++;
	}
}

/* ---- putting it back ---------------------------------------------------------------------------
 */

static void remember_text(const char *text)
{
	size_t len = strlen(text);

	if (term.restore_len + len > sizeof(term.restore))
		return;
	memcpy(term.restore + term.restore_len, text, len);
	term.restore_len += len;
}

static void remember(const char *capability)
{
	const char *text = tigetstr(capability);

	if (text && text != (const char *)-1)
		remember_text(text);
}

/* Only what may be called in a handler. */
static void on_crash(int number)
{
	if (term.open) {
		ssize_t ignored = write(STDOUT_FILENO, term.restore, term.restore_len);

		(void)ignored;
		tcsetattr(term.fd, TCSANOW, &term.before);
	}
	signal(number, SIG_DFL);
	raise(number);
}

/* A sanitizer that has taken them keeps them: its report is worth more than a clean screen. */
static void catch_crashes(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	static char stack[32768];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};
	struct sigaction old;

	sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(numbers[i], &action, NULL);
}

void term_close(void)
{
	if (!term.open)
		return;
	term.open = false;
	if (!term.lost)
		endwin();
	delscreen(term.screen);
	if (term.in)
		fclose(term.in);
	term.in = NULL;
	free(term.shown);
	term.shown = NULL;
	term.n_shown = 0;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static bool find_input(struct error *err)
{
	term.fd = STDIN_FILENO;
	term.in = NULL;
	if (isatty(STDIN_FILENO))
		return true;
	term.in = fopen("/dev/tty", "re");
	if (!term.in)
		return error_sys(err, ERR_USAGE, errno, "no terminal to read keys from");
	term.fd = fileno(term.in);
	return true;
}

static void modes(const struct tui_options *o)
{
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	set_escdelay(25);
	if (!o->no_mouse) {
		mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
		mouseinterval(0);
	}
}

bool term_open(const struct tui_options *options, struct error *err)
{
	static bool registered;

	if (!find_input(err))
		return false;
	tcgetattr(term.fd, &term.before);
	term.screen = newterm(NULL, stdout, term.in ? term.in : stdin);
	if (!term.screen) {
		error_set(err, ERR_USAGE, "the terminal %s is not known here",
			  getenv("TERM") ? getenv("TERM") : "(TERM is not set)");
		return error_hint(err, "stallscope dump works on every one");
	}
	set_term(term.screen);
	term.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	term.lost = false;
	term.restore_len = 0;
	remember("sgr0");
	remember("cnorm");
	if (!options->no_mouse)
		remember_text("\033[?1000l\033[?1006l");
	remember("rmkx");
	remember("rmcup");
	modes(options);
	choose_styles(options);
	term.open = true;
	if (!registered)
		registered = !atexit(term_close);
	catch_crashes();
	return true;
}

void term_size(unsigned *cols, unsigned *rows)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row) {
		size.ws_col = 80;
		size.ws_row = 24;
	}
	*cols = size.ws_col > GRID_MAX_COLS ? GRID_MAX_COLS : size.ws_col;
	*rows = size.ws_row > GRID_MAX_ROWS ? GRID_MAX_ROWS : size.ws_row;
}

/* ---- drawing -----------------------------------------------------------------------------------
 */

static void put_cell(const struct cell *c, int y, int x)
{
	wchar_t text[3] = {(wchar_t)c->cp, (wchar_t)c->mark, 0};
	attr_t attributes = term.styles[c->style];
	short pair = term.pairs[c->style];
	cchar_t out;

	if (c->selected)
		attributes ^= A_REVERSE;
	if (!term.utf8 && c->cp > 0x7e)
		text[0] = L'?';
	setcchar(&out, text, attributes, pair, NULL);
	mvadd_wch(y, x, &out);
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
	return a->cp == b->cp && a->mark == b->mark && a->style == b->style &&
	       a->selected == b->selected;
}

/* Whether the cell is to be written: it changed, or the other half of a wide one did. */
static bool is_new(const struct grid *g, unsigned x, unsigned y)
{
	size_t i = (size_t)y * g->cols + x;

	return !same_cell(&g->cells[i], &term.shown[i]) ||
	       (x + 1 < g->cols && !same_cell(&g->cells[i + 1], &term.shown[i + 1]));
}

void term_draw(const struct grid *g, bool all)
{
	size_t n = (size_t)g->cols * g->rows;

	if (LINES != (int)g->rows || COLS != (int)g->cols) {
		resizeterm((int)g->rows, (int)g->cols);
		all = true;
	}
	if (all || n != term.n_shown) {
		all = true;
		clear();
		term.shown = mem_realloc(term.shown, n + 1, sizeof(*term.shown));
		term.n_shown = n;
	}
	for (unsigned y = 0; y < g->rows; y++)
		for (unsigned x = 0; x < g->cols; x++)
			if (grid_at(g, x, y)->cp && (all || is_new(g, x, y)))
				put_cell(grid_at(g, x, y), (int)y, (int)x);
	memcpy(term.shown, g->cells, n * sizeof(*g->cells));
	refresh();
}

/* ---- input -------------------------------------------------------------------------------------
 */

static uint32_t key_of(int code)
{
	static const struct {
		int curses;
		uint32_t ours;
	} keys[] = {{KEY_UP, INPUT_UP},		{KEY_DOWN, INPUT_DOWN},
		    {KEY_LEFT, INPUT_LEFT},	{KEY_RIGHT, INPUT_RIGHT},
		    {KEY_PPAGE, INPUT_PAGE_UP}, {KEY_NPAGE, INPUT_PAGE_DOWN},
		    {KEY_HOME, INPUT_HOME},	{KEY_END, INPUT_END},
		    {KEY_ENTER, INPUT_ENTER},	{KEY_BACKSPACE, INPUT_BACKSPACE},
		    {KEY_BTAB, INPUT_BACK_TAB}, {KEY_F(1), INPUT_F1},
		    {KEY_F(3), INPUT_F3},	{KEY_F(4), INPUT_F4},
		    {KEY_F(5), INPUT_F5},	{KEY_F(6), INPUT_F6},
		    {KEY_F(10), INPUT_F10}};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].curses == code)
			return keys[i].ours;
	return INPUT_NONE;
}

static uint32_t character(wint_t c)
{
	switch (c) {
	case '\r':
	case '\n':
		return INPUT_ENTER;
	case '\t':
		return INPUT_TAB;
	case 27:
		return INPUT_ESC;
	case 8:
	case 127:
		return INPUT_BACKSPACE;
	default:
		return (uint32_t)c;
	}
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static bool mouse(struct tui_event *ret)
{
	MEVENT m;

	if (getmouse(&m) != OK)
		return false;
	if (m.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED)) {
		ret->kind = EVENT_WHEEL;
		ret->lines = m.bstate & BUTTON4_PRESSED ? -3 : 3;
		return true;
	}
	if (!(m.bstate & BUTTON1_PRESSED) || m.x < 0 || m.y < 0)
		return false;
	ret->kind = EVENT_CLICK;
	ret->x = (unsigned)m.x;
	ret->y = (unsigned)m.y;
	ret->twice = ret->x == term.clicked_x && ret->y == term.clicked_y &&
		     now() - term.clicked_ns < DOUBLE_CLICK_NS;
	term.clicked_x = ret->x;
	term.clicked_y = ret->y;
	term.clicked_ns = ret->twice ? 0 : now();
	return true;
}

bool term_input(struct tui_event *ret)
{
	wint_t c;

	for (;;) {
		int kind = get_wch(&c);

		if (kind == ERR)
			return false;
		if (kind == KEY_CODE_YES && c == KEY_MOUSE) {
			if (mouse(ret))
				return true;
			continue;
		}
		if (kind == KEY_CODE_YES && c == KEY_RESIZE)
			continue;
		ret->kind = EVENT_KEY;
		ret->code = kind == KEY_CODE_YES ? key_of((int)c) : character(c);
		return true;
	}
}

int term_fd(void)
{
	return term.fd;
}

bool term_lost(void)
{
	struct pollfd p = {.fd = term.fd};

	if (poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
		term.lost = true;
	return term.lost;
}

/* ---- the clipboard, and Ctrl-Z -----------------------------------------------------------------
 */

static void add_base64(char *out, const unsigned char *in, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)in[i] << 16;

		v |= i + 1 < len ? (unsigned)in[i + 1] << 8 : 0;
		v |= i + 2 < len ? (unsigned)in[i + 2] : 0;
		*out++ = digits[v >> 18 & 63];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*out = 0;
}

void term_copy(const char *text)
{
	size_t len = strlen(text);
	char *base64 = mem_alloc(len / 3 * 4 + 8);

	add_base64(base64, (const unsigned char *)text, len);
	printf("\033]52;c;%s\a", base64);
	fflush(stdout);
	free(base64);
}

void term_suspend(void)
{
	endwin();
	raise(SIGSTOP);
	/* back in the foreground */
	clearok(curscr, TRUE);
	refresh();
}
