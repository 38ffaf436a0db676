/* SPDX-License-Identifier: Apache-2.0 */
/* What firmware and user program of the test agree on: numbers without a function in the table serve as questions. */
#define T_TICKS 244      /* timer ticks so far */
#define T_SWITCHES 245   /* times SCHEDULE named another task */
#define T_BLOCKS 246     /* BLOCK answers so far */
#define T_MODE 247       /* 1: every call answers 0x10000 + nr; 2 to 5: that argument */
#define T_IRQ 248        /* raises a software interrupt; answers how many IRQ calls there were */
#define T_CALLS 249      /* SYSCALL calls so far */
#define T_FAULTS 250     /* last FAULT: access << 60 | address */
#define T_NOTIFY 251     /* sets TIF_NOTIFY; answers how many notifications there were */
#define T_CHILD_ASID 252 /* ASID of the next clone */
#define T_CHECK 253      /* a0 name, a1 ok: a line of the report */
#define T_ARGUMENTS 254  /* 1 if all calls of mode 1 had the right arguments */
#define T_DISCARD 255    /* drops page a0 of the demand region, with FLUSH_PAGE, or FLUSH_ALL if a1 */
#define T_BREAK 256      /* a break in do_sys_openat2, if a0; answers how many were hit */

#define USER_TEXT 0x10000UL
#define USER_DATA 0x20000UL
#define USER_DEMAND 0x100000UL /* 16 pages appear on first touch */
#define USER_READONLY 0x110000UL
#define USER_HOLE 0x150000UL
#define USER_STACK_TOP 0x1f0000UL
