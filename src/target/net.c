/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stallscope/target.h"

static const char *const tcp_states[] = {
	NULL,	     "ESTABLISHED", "SYN_SENT",	  "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
	"TIME_WAIT", "CLOSE",	    "CLOSE_WAIT", "LAST_ACK", "LISTEN",	   "CLOSING",
};

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

/* "  1: 0100007F:1F90 0100007F:C3D2 01 00000000:00000000 00:00000000 00000000  0 0 INODE ..." */
static bool parse_line(const char *line, uint64_t inode, struct net_peer *ret)
{
	char local[40], remote[40], address[INET6_ADDRSTRLEN];
	unsigned port, state, txq, rxq, retransmits;
	uint64_t found;

	if (sscanf(line,
		   " %*u: %39[0-9A-Fa-f]:%*x %39[0-9A-Fa-f]:%x %x %x:%x %*x:%*x %x %*u %*u "
		   "%" SCNu64,
		   local, remote, &port, &state, &txq, &rxq, &retransmits, &found) != 8 ||
	    found != inode || !parse_address(remote, strlen(remote), address, sizeof(address)))
		return false;
	snprintf(ret->address, sizeof(ret->address), strchr(address, ':') ? "[%s]:%u" : "%s:%u",
		 address, port);
	ret->state = state < ARRAY_SIZE(tcp_states) ? tcp_states[state] : NULL;
	ret->unread = rxq;
	ret->unsent = txq;
	ret->retransmits = retransmits;
	return true;
}

bool net_tcp_find(const char *text, size_t len, uint64_t inode, struct net_peer *ret)
{
	const char *end = text + len, *next;
	char line[256];

	for (const char *p = text; p < end; p = next) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop ? stop : end) - p);

		next = stop ? stop + 1 : end;
		if (n >= sizeof(line))
			continue;
		memcpy(line, p, n);
		line[n] = 0;
		if (parse_line(line, inode, ret))
			return true;
	}
	return false;
}
