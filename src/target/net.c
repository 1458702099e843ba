/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "scan.h"
#include "stallscope/target.h"

static const char *const tcp_states[] = {
	NULL,	     "ESTABLISHED", "SYN_SENT",	  "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
	"TIME_WAIT", "CLOSE",	    "CLOSE_WAIT", "LAST_ACK", "LISTEN",	   "CLOSING",
};

/* SS_* of <linux/net.h> */
static const char *const unix_states[] = {NULL, "UNCONNECTED", "CONNECTING", "CONNECTED",
					  "DISCONNECTING"};

/* ---- TCP and UDP ------------------------------------------------------------------------------
 */

/* Four bytes as the kernel prints them: a number in host order. */
static bool parse_address(const char *hex, size_t digits, char *out, size_t size)
{
	uint32_t words[4];
	const void *bytes = words;

	if (digits != 8 && digits != 32)
		return false;
	for (size_t i = 0; i < digits / 8; i++)
		if (sscanf(hex + 8 * i, "%8" SCNx32, &words[i]) != 1)
			return false;
	/* ::ffff:a.b.c.d is IPv4 in a socket that speaks both */
	if (digits == 32 && !words[0] && !words[1] && words[2] == htonl(0xffff)) {
		bytes = &words[3];
		digits = 8;
	}
	return inet_ntop(digits == 8 ? AF_INET : AF_INET6, bytes, out, (socklen_t)size) != NULL;
}

static bool format_end(const char *hex, unsigned port, char *out, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	if (!parse_address(hex, strlen(hex), address, sizeof(address)))
		return false;
	snprintf(out, size, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port & 0xffff);
	return true;
}

/* "  1: 0100007F:1F90 0100007F:C3D2 01 00000000:00000000 00:00000000 00000000  0 0 INODE ..." */
static bool parse_line(const char *line, uint64_t inode, struct net_peer *ret)
{
	char local[40], remote[40];
	unsigned port, local_port, state, txq, rxq, retransmits;
	uint64_t found;

	if (sscanf(line,
		   " %*u: %39[0-9A-Fa-f]:%x %39[0-9A-Fa-f]:%x %x %x:%x %*x:%*x %x %*u %*u "
		   "%" SCNu64,
		   local, &local_port, remote, &port, &state, &txq, &rxq, &retransmits,
		   &found) != 9 ||
	    found != inode || !format_end(remote, port, ret->address, sizeof(ret->address)) ||
	    !format_end(local, local_port, ret->local, sizeof(ret->local)))
		return false;
	ret->port = (uint16_t)port;
	ret->state = state < ARRAY_SIZE(tcp_states) ? tcp_states[state] : NULL;
	ret->unread = rxq;
	ret->unsent = txq;
	ret->retransmits = retransmits;
	return true;
}

/* Most lines are not the one: only those that have the digits of the inode are taken apart. */
bool net_tcp_find(const char *text, size_t len, uint64_t inode, struct net_peer *ret)
{
	struct scan s = scan_init(text, len), line;
	char digits[32], copy[256];
	size_t n = (size_t)snprintf(digits, sizeof(digits), " %" PRIu64, inode);

	while (scan_line(&s, &line, NULL)) {
		size_t room = scan_left(&line);

		if (room >= sizeof(copy) || !memmem(line.p, room, digits, n))
			continue;
		memcpy(copy, line.p, room);
		copy[room] = 0;
		if (parse_line(copy, inode, ret))
			return true;
	}
	return false;
}

bool net_udp_find(const char *text, size_t len, uint64_t inode, struct net_peer *ret)
{
	return net_tcp_find(text, len, inode, ret);
}

/* ---- unix -------------------------------------------------------------------------------------
 */

static bool skip_hex(struct scan *s, uint64_t *ret)
{
	scan_blanks(s);
	return scan_hex(s, ret);
}

/* "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x"; of a listener St is 01. */
static bool parse_unix(struct scan *s, uint64_t inode, struct net_unix *ret)
{
	static const uint64_t accepts = 0x10000; /* __SO_ACCEPTCON */
	uint64_t word, flags, state, found;
	size_t len;

	if (!scan_hex(s, &word) || !scan_char(s, ':') || !skip_hex(s, &word) ||
	    !skip_hex(s, &word) || !skip_hex(s, &flags) || !skip_hex(s, &word) ||
	    !skip_hex(s, &state))
		return false;
	scan_blanks(s);
	if (!scan_u64(s, &found) || found != inode)
		return false;
	scan_char(s, ' ');
	len = scan_left(s) < sizeof(ret->path) - 1 ? scan_left(s) : sizeof(ret->path) - 1;
	memcpy(ret->path, s->p, len);
	ret->path[len] = 0;
	ret->state = state < ARRAY_SIZE(unix_states) ? unix_states[state] : NULL;
	if (flags & accepts)
		ret->state = "LISTEN";
	return true;
}

bool net_unix_find(const char *text, size_t len, uint64_t inode, struct net_unix *ret)
{
	struct scan s = scan_init(text, len), line;

	while (scan_line(&s, &line, NULL))
		if (parse_unix(&line, inode, ret))
			return true;
	return false;
}
