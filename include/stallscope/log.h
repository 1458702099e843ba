/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - messages to the operator, on standard error
 *
 * One level for the whole process, set once from -q and -v. Messages are one
 * line, prefixed "stallscope: ". Text of the target must be made safe before
 * (utf8.h).
 */
#ifndef STALLSCOPE_LOG_H
#define STALLSCOPE_LOG_H

enum log_level { LOG_QUIET, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
