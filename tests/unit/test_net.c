/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exact.h"
#include "stallscope/target.h"

static const char tcp[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
			  "retrnsmt   uid  timeout "
			  "inode\n"
			  "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 "
			  "00000000     0        0 "
			  "111 1 0000000000000000 100 0 0 10 0\n"
			  "   1: 0100007F:C3D2 1103000A:01BB 01 00000010:00000020 00:00000000 "
			  "00000003     0        0 "
			  "222 1 0000000000000000 20 4 30 10 -1\n"
			  "   2: 0100007F:C3D4 1103000A:01BB 02 00000001:00000000 01:00000064 "
			  "00000002     0        0 "
			  "333 2 0000000000000000 20 4 30 10 -1";

static const char tcp6[] =
	"   0: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:C3D2 01 "
	"00000000:00000000 00:00000000 00000000     0        0 444 1 0000000000000000 20 4 30 10 "
	"-1\n"
	"   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:0050 08 "
	"00000000:00000000 00:00000000 00000000     0        0 555 1 0000000000000000 20 4 30 10 "
	"-1\n";

static const char udp[] = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
			  "retrnsmt   uid  timeout "
			  "inode ref pointer drops\n"
			  "  462: 0100007F:A0C4 3500007F:0035 01 00000000:00000000 00:00000000 "
			  "00000000  1000        0 "
			  "777 2 0000000000000000 0\n"
			  "  519: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 "
			  "00000000     0        0 "
			  "888 2 0000000000000000 0\n";

static const char unix_table[] =
	"Num       RefCount Protocol Flags    Type St Inode Path\n"
	"0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/app one.sock\n"
	"0000000000000000: 00000003 00000000 00000000 0001 03    12\n"
	"0000000000000000: 00000003 00000000 00000000 0001 03    13 @abstract\n";

static void finds_udp(void **state)
{
	struct net_peer p;

	(void)state;
	assert_true(net_udp_find(udp, sizeof(udp) - 1, 777, &p));
	assert_string_equal(p.address, "127.0.0.53:53");
	assert_string_equal(p.local, "127.0.0.1:41156");
	assert_int_equal(p.port, 53);
	assert_true(net_udp_find(udp, sizeof(udp) - 1, 888, &p));
	assert_int_equal(p.port, 0);
	assert_string_equal(p.state, "CLOSE");
	assert_false(net_udp_find(udp, sizeof(udp) - 1, 462, &p));
}

static void finds_unix(void **state)
{
	struct net_unix u;

	(void)state;
	assert_true(net_unix_find(unix_table, sizeof(unix_table) - 1, 11, &u));
	assert_string_equal(u.path, "/run/app one.sock");
	assert_string_equal(u.state, "LISTEN");
	assert_true(net_unix_find(unix_table, sizeof(unix_table) - 1, 12, &u));
	assert_string_equal(u.path, "");
	assert_string_equal(u.state, "CONNECTED");
	assert_true(net_unix_find(unix_table, sizeof(unix_table) - 1, 13, &u));
	assert_string_equal(u.path, "@abstract");
	assert_false(net_unix_find(unix_table, sizeof(unix_table) - 1, 1, &u));
}

static void finds_by_inode(void **state)
{
	struct net_peer p;

	(void)state;
	assert_true(net_tcp_find(tcp, sizeof(tcp) - 1, 222, &p));
	assert_string_equal(p.address, "10.0.3.17:443");
	assert_string_equal(p.state, "ESTABLISHED");
	assert_int_equal(p.unsent, 16);
	assert_int_equal(p.unread, 32);
	assert_int_equal(p.retransmits, 3);
	assert_string_equal(p.local, "127.0.0.1:50130");
	assert_true(net_tcp_find(tcp, sizeof(tcp) - 1, 333, &p)); /* no newline behind it */
	assert_string_equal(p.state, "SYN_SENT");
	assert_false(net_tcp_find(tcp, sizeof(tcp) - 1, 22, &p));
	assert_true(net_tcp_find(tcp6, sizeof(tcp6) - 1, 444, &p));
	assert_string_equal(p.address, "[::1]:50130");
	assert_true(net_tcp_find(tcp6, sizeof(tcp6) - 1, 555, &p));
	assert_string_equal(p.address, "127.0.0.2:80");
	assert_string_equal(p.state, "CLOSE_WAIT");
}

static void look_unix(const char *text, size_t len)
{
	struct net_unix u;

	net_unix_find(text, len, 13, &u);
	net_unix_find(text, len, 0, &u);
}

static void look(const char *text, size_t len)
{
	struct net_peer p;

	net_tcp_find(text, len, 222, &p);
	net_tcp_find(text, len, 0, &p);
}

static void cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(tcp, sizeof(tcp) - 1, look);
	exact_spoil_everywhere(tcp, sizeof(tcp) - 1, look);
	exact_spoil_everywhere(tcp6, sizeof(tcp6) - 1, look);
	exact_cut_everywhere(unix_table, sizeof(unix_table) - 1, look_unix);
	exact_spoil_everywhere(unix_table, sizeof(unix_table) - 1, look_unix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_by_inode),
		cmocka_unit_test(finds_udp),
		cmocka_unit_test(finds_unix),
		cmocka_unit_test(cut_and_spoilt),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
