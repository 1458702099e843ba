/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/cleanup.h"
#include "stallscope/strbuf.h"
#include "stallscope/target.h"

static const char ordinary[] = "Name:\tpython3\n"
			       "Umask:\t0022\n"
			       "State:\tS (sleeping)\n"
			       "Tgid:\t15644\n"
			       "Ngid:\t0\n"
			       "Pid:\t15645\n"
			       "PPid:\t15526\n"
			       "TracerPid:\t31\n"
			       "Uid:\t0\t1000\t2\t4294967295\n"
			       "Gid:\t4\t1001\t6\t7\n"
			       "FDSize:\t256\n"
			       "Groups:\t \n"
			       "NStgid:\t15644\t17\t1\n"
			       "NSpid:\t15645\t18\t2\n"
			       "NSpgid:\t15526\t17\t1\n"
			       "Kthread:\t0\n"
			       "VmHWM:\t    1668 kB\n"
			       "VmRSS:\t    1552 kB\n"
			       "Threads:\t12\n"
			       "SigQ:\t0/96365\n"
			       "CapInh:\t0000000000000001\n"
			       "CapPrm:\t000001fffeffffff\n"
			       "CapEff:\tffffffffffffffff\n"
			       "CapBnd:\t0000000000000002\n"
			       "voluntary_ctxt_switches:\t18446744073709551615\n"
			       "nonvoluntary_ctxt_switches:\t7\n";

static bool parse(const char *text, struct proc_status *ret, struct error *err)
{
	char *copy = exact_copy(text, strlen(text));
	bool ok = proc_status_parse(copy, strlen(text), ret, err);

	free(copy);
	return ok;
}

static void test_ordinary(void **state)
{
	struct proc_status st;

	(void)state;
	assert_true(parse(ordinary, &st, NULL));
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.tgid, 15644);
	assert_int_equal(st.pid, 15645);
	assert_int_equal(st.ppid, 15526);
	assert_int_equal(st.tracer, 31);
	assert_int_equal(st.uid[0], 0);
	assert_int_equal(st.uid[1], 1000);
	assert_true(st.uid[3] == UINT32_MAX);
	assert_int_equal(st.gid[1], 1001);
	assert_int_equal(st.gid[3], 7);
	assert_int_equal(st.nspids, 3);
	assert_int_equal(st.nspid[0], 15645);
	assert_int_equal(st.nspid[2], 2);
	assert_true(st.cap_prm == 0x1fffeffffff);
	assert_true(st.cap_eff == UINT64_MAX);
	assert_int_equal(st.threads, 12);
	assert_true(st.voluntary == UINT64_MAX);
	assert_int_equal(st.involuntary, 7);
	assert_int_equal(st.rss_kib, 1552);
}

/* The text with the lines left out that begin with key. */
static void without(struct strbuf *sb, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = ordinary; *p; p = strchr(p, '\n') + 1)
		if (strncmp(p, key, len) != 0 || p[len] != ':')
			strbuf_add(sb, p, (size_t)(strchr(p, '\n') - p) + 1);
}

static void test_missing_lines(void **state)
{
	static const struct {
		const char *key;
		bool needed;
	} rows[] = {
		{"State", true},    {"Tgid", true},	  {"Pid", true},
		{"Uid", true},	    {"Gid", true},	  {"NSpid", false},
		{"CapEff", false},  {"VmRSS", false},	  {"voluntary_ctxt_switches", false},
		{"Threads", false}, {"TracerPid", false}, {"Name", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;
		struct proc_status st;
		struct error err = {0};

		without(&text, rows[i].key);
		assert_int_equal(parse(text.data, &st, &err), !rows[i].needed);
		assert_int_equal(err.code, rows[i].needed ? ERR_CORRUPT : ERR_OK);
		if (strcmp(rows[i].key, "NSpid") == 0)
			assert_int_equal(st.nspids, 0);
		if (strcmp(rows[i].key, "TracerPid") == 0)
			assert_int_equal(st.tracer, 0);
	}
}

/* Of a deep nest the outermost and the innermost are known. */
static void test_deep_namespaces(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct proc_status st;

	(void)state;
	without(&text, "NSpid");
	strbuf_addstr(&text, "NSpid:");
	for (int i = 1; i <= 33; i++)
		strbuf_addf(&text, "\t%d", i);
	strbuf_addch(&text, '\n');
	assert_true(parse(text.data, &st, NULL));
	assert_int_equal(st.nspids, NSPID_MAX);
	assert_int_equal(st.nspid[0], 1);
	assert_int_equal(st.nspid[NSPID_MAX - 1], 33);
}

/* The kernel escapes newlines in the name, so what stands behind it is no line. */
static void test_hostile_names(void **state)
{
	static const char *const names[] = {"x\\nPid:\\t1", ":",       "",
					    "\x1b[2J\xff",  "Pid:\t1", "NSpid: 1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;
		struct proc_status st;

		strbuf_addf(&text, "Name:\t%s\n", names[i]);
		without(&text, "Name");
		assert_true(parse(text.data, &st, NULL));
		assert_int_equal(st.pid, 15645);
		assert_int_equal(st.nspids, 3);
	}
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"State:\t\n",
		"State:",
		"Tgid:\t\n",
		"Tgid:\t2147483648\n",
		"Pid:\tx\n",
		"Uid:\t0\t0\t0\n",
		"Uid:\t0\t0\t0\t4294967296\n",
		"Gid:\n",
		"NSpid:\t\n",
		"NSpid:\t1 x\n",
		"CapEff:\tfffffffffffffffff\n",
		"CapPrm:\t\n",
		"Threads:\t4294967296\n",
		"voluntary_ctxt_switches:\t18446744073709551616\n",
		"VmRSS:\tkB\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;
		struct proc_status st = {.pid = 77};
		struct error err = {0};

		strbuf_addf(&text, "%s\n%s", rows[i], ordinary);
		assert_false(parse(text.data, &st, &err));
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_int_equal(st.pid, 77);
	}
}

/* What a cut text gives is what the whole one says, never the beginning of a number. */
static void parse_cut(const char *text, size_t len)
{
	struct proc_status st;

	if (!proc_status_parse(text, len, &st, NULL))
		return;
	assert_int_equal(st.pid, 15645);
	assert_true(st.nspids == 0 || st.nspids == 3);
	assert_true(st.threads == 0 || st.threads == 12);
	assert_true(st.rss_kib == 0 || st.rss_kib == 1552);
	assert_true(st.cap_eff == 0 || st.cap_eff == UINT64_MAX);
}

static void parse_any(const char *text, size_t len)
{
	struct proc_status st;

	if (proc_status_parse(text, len, &st, NULL))
		assert_true(st.nspids <= NSPID_MAX);
}

static void test_cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(ordinary, sizeof(ordinary) - 1, parse_cut);
	exact_spoil_everywhere(ordinary, sizeof(ordinary) - 1, parse_any);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),	cmocka_unit_test(test_missing_lines),
		cmocka_unit_test(test_deep_namespaces), cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_malformed),	cmocka_unit_test(test_cut_and_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
