/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/error.h"

#include <stdio.h>
#include <string.h>

static const int statuses[] = {
#define X(name, status, text) [ERR_##name] = status,
	ERROR_LIST(X)
#undef X
};

__attribute__((format(printf, 4, 0))) static void set(struct error *err, enum error_code code,
						      int sys, const char *fmt, va_list ap)
{
	err->code = code;
	err->sys = sys;
	err->address = 0;
	err->hint[0] = 0;
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	set(err, code, 0, fmt, ap);
	va_end(ap);
	return false;
}

bool error_sys(struct error *err, enum error_code code, int sys, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	set(err, code, sys, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(sys));
	return false;
}

static const char fault_text[] = "cannot read the target's memory at 0x";

/* Faults come by the thousand, so without printf. */
static void put_hex(char *out, uint64_t value)
{
	unsigned digits = value ? (67u - (unsigned)__builtin_clzll(value)) / 4 : 1;

	out[digits] = 0;
	while (digits--) {
		out[digits] = "0123456789abcdef"[value & 15];
		value >>= 4;
	}
}

bool error_fault(struct error *err, uint64_t address, int sys)
{
	if (!err)
		return false;
	err->code = ERR_FAULT;
	err->sys = sys;
	err->address = address;
	err->hint[0] = 0;
	memcpy(err->text, fault_text, sizeof(fault_text) - 1);
	put_hex(err->text + sizeof(fault_text) - 1, address);
	return false;
}

bool error_add(struct error *err, const char *fmt, ...)
{
	char context[sizeof(err->text) / 2], rest[sizeof(err->text) / 2 - 2];
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	memcpy(rest, err->text, sizeof(rest) - 1);
	rest[sizeof(rest) - 1] = 0;
	snprintf(err->text, sizeof(err->text), "%s: %s", context, rest);
	return false;
}

bool error_hint(struct error *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return false;
}

int error_exit_status(enum error_code code)
{
	size_t i = (size_t)code;

	return i < sizeof(statuses) / sizeof(statuses[0]) ? statuses[i] : statuses[ERR_INTERNAL];
}
