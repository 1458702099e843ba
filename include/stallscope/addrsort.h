/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addrsort.h - addresses in ascending order
 *
 * Objects of a target are read in the order of their addresses. A hundred thousand are common, and
 * comparing them would take longer than reading them: this is a radix sort.
 */
#ifndef STALLSCOPE_ADDRSORT_H
#define STALLSCOPE_ADDRSORT_H

#include <stddef.h>
#include <stdint.h>

/* In place, with a scratch copy of n addresses when there are many. */
void addr_sort(uint64_t *v, size_t n);

/* Leaves each of n sorted addresses once, and tells how many there are. */
size_t addr_unique(uint64_t *v, size_t n);

#endif
