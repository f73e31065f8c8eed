/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rpccancel

#if !defined(_RPCC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _RPCC_TRACE_H

#include <linux/sched.h>
#include <linux/tracepoint.h>

TRACE_EVENT(rpccancel_request,
	TP_PROTO(struct task_struct *task, u64 gen, u64 grace, u32 result),
	TP_ARGS(task, gen, grace, result),
	TP_STRUCT__entry(
		__field(pid_t, tid)
		__field(u64, gen)
		__field(u64, grace)
		__field(u32, result)
	),
	TP_fast_assign(
		__entry->tid = task->pid;
		__entry->gen = gen;
		__entry->grace = grace;
		__entry->result = result;
	),
	TP_printk("tid=%d gen=%llu grace=%llu result=%u", __entry->tid,
		  __entry->gen, __entry->grace, __entry->result)
);

TRACE_EVENT(rpccancel_deliver,
	TP_PROTO(struct task_struct *task, u64 gen, int error),
	TP_ARGS(task, gen, error),
	TP_STRUCT__entry(
		__field(pid_t, tid)
		__field(u64, gen)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->tid = task->pid;
		__entry->gen = gen;
		__entry->error = error;
	),
	TP_printk("tid=%d gen=%llu error=%d", __entry->tid, __entry->gen,
		  __entry->error)
);

TRACE_EVENT(rpccancel_expire,
	TP_PROTO(struct task_struct *task, u64 gen, u32 reason),
	TP_ARGS(task, gen, reason),
	TP_STRUCT__entry(
		__field(pid_t, tid)
		__field(u64, gen)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->tid = task->pid;
		__entry->gen = gen;
		__entry->reason = reason;
	),
	TP_printk("tid=%d gen=%llu reason=%#x", __entry->tid, __entry->gen,
		  __entry->reason)
);

DECLARE_EVENT_CLASS(rpccancel_generation,
	TP_PROTO(struct task_struct *task, u64 gen),
	TP_ARGS(task, gen),
	TP_STRUCT__entry(
		__field(pid_t, tid)
		__field(u64, gen)
	),
	TP_fast_assign(
		__entry->tid = task->pid;
		__entry->gen = gen;
	),
	TP_printk("tid=%d gen=%llu", __entry->tid, __entry->gen)
);

DEFINE_EVENT(rpccancel_generation, rpccancel_rearm,
	TP_PROTO(struct task_struct *task, u64 gen),
	TP_ARGS(task, gen)
);

DEFINE_EVENT(rpccancel_generation, rpccancel_too_late,
	TP_PROTO(struct task_struct *task, u64 gen),
	TP_ARGS(task, gen)
);

#endif /* _RPCC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
