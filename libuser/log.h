/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the run time has to say beside status codes goes to a function of the
 * application's, or nowhere: see rpccancel_set_log(3).
 */
#ifndef RPCC_LOG_H
#define RPCC_LOG_H

/* @level: RPCCANCEL_LOG_*. One line without a newline. Leaves errno alone. */
void rpcc_log(int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* RPCC_LOG_H */
