/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "stallscope/diagnose.h"

/* FNV-1a of the text and the NUL behind it, so that "ab","c" and "a","bc" differ. */
static uint64_t mix(uint64_t hash, const char *text)
{
	for (size_t i = 0, n = strlen(text) + 1; i < n; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* In code that computes, the call that a look happens to meet: the next look meets another one. */
static bool by_chance(const struct verdict *v)
{
	return !v->culprit.rule && !strncmp(v->kind, "cpu.", 4);
}

/*
 * No file and no line: hosts have the code in different folders, and a release moves lines. So the
 * same mistake has one fingerprint on all hosts and over releases.
 */
bool verdict_fingerprint(const struct snapshot *s, const struct verdict *v, char *ret)
{
	const struct culprit *c = &v->culprit;

	if (c->leaf == SNAP_NONE)
		return false;
	fingerprint_of(v->kind[0] ? v->kind : verdict_word(v->id),
		       c->frame == SNAP_NONE ? "" : snap_code_of(s, &s->frames[c->frame])->qualname,
		       by_chance(v) ? "" : c->library, ret);
	return true;
}

void fingerprint_of(const char *kind, const char *function, const char *library, char *ret)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = mix(mix(mix(hash, kind), function), library);
	snprintf(ret, FINGERPRINT_SIZE, "%016llx", (unsigned long long)hash);
}
