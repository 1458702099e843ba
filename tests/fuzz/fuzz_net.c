/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_net.c - any text as /proc/PID/net/tcp and unix */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_peer peer;
	struct net_unix local;

	for (uint64_t inode = 0; inode < 16; inode++) {
		if (net_tcp_find((const char *)data, size, inode, &peer) &&
		    (!memchr(peer.address, 0, sizeof(peer.address)) || !*peer.address))
			abort();
		if (net_unix_find((const char *)data, size, inode, &local) &&
		    !memchr(local.path, 0, sizeof(local.path)))
			abort();
	}
	return 0;
}
