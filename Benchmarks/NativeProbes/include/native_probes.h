// The peers of probe hits: what this host needs for them natively.
#ifndef NATIVE_PROBES_H
#define NATIVE_PROBES_H

// CPU seconds for `count` hits of a break instruction as a debugger serves them with ptrace: continue, trap, the instruction back, one step,
// the break again. Negative: the host does not let us, or is no x86-64.
double native_ptrace_hits(long count);

// CPU seconds for `count` calls of an empty function with a Linux uprobe on it that counts, and without (`probed` 0). Negative: the host does
// not let us.
double native_uprobe_hits(long count, int probed);

#endif
