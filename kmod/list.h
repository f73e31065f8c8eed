/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_LIST_H
#define _RPCC_LIST_H

struct rpccancel_list;

int rpcc_list(struct rpccancel_list *req);
void rpcc_list_debugfs_init(void);
void rpcc_list_debugfs_exit(void);

#endif /* _RPCC_LIST_H */
