/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modulecheck: reads lines "FILE<tab>FUNCTION" and writes for each the module that the catalogue
 * makes of the file and the pattern of the row for the function, "-" where there is none.
 */
#include <stdio.h>
#include <string.h>

#include "stallscope/culprits.h"

int main(void)
{
	static char line[8192];
	char module[256];

	while (fgets(line, sizeof(line), stdin)) {
		const struct culprit_row *row;
		char *tab = strchr(line, '\t');

		if (!tab)
			return 1;
		*tab++ = 0;
		tab[strcspn(tab, "\n")] = 0;
		culprits_module(line, module, sizeof(module));
		row = culprits_find_frame(line, tab);
		printf("%s\t%s\n", module[0] ? module : "-", row ? row->pattern : "-");
	}
	return fflush(stdout) ? 1 : 0;
}
