/* SPDX-License-Identifier: Apache-2.0 */
/* M-mode under the kernel image: entry, the trap frame, a call into kernel mode and back, the FP registers. */
  .section .text.start, "ax"
  .globl _start
_start:
  csrr t0, mhartid
  bnez t0, .Lpark
  la sp, m_stack_top
  la t0, m_trap_stack_top
  csrw mscratch, t0
  la t0, m_vector
  csrw mtvec, t0
  tail firmware_main
.Lpark:
  wfi
  j .Lpark

  .text
  .balign 4
m_vector:
  csrrw sp, mscratch, sp
  addi sp, sp, -256
  .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  sd x\n, 8 * \n(sp)
  .endr
  csrr t0, mscratch
  sd t0, 16(sp)
  addi t0, sp, 256
  csrw mscratch, t0
  mv a0, sp
  call m_trap
  .globl m_resume
m_resume: /* a0: a frame */
  mv sp, a0
  .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  ld x\n, 8 * \n(sp)
  .endr
  ld sp, 16(sp)
  mret

  /* long s_call(frame, pc): runs kernel text until it returns to the magic address; s_return(value) then ends it. */
  .globl s_call
s_call:
  addi sp, sp, -112
  sd ra, 0(sp)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  sd s\n, 8 + 8 * \n(sp)
  .endr
  la t0, s_call_sp
  sd sp, 0(t0)
  csrw mepc, a1
  li t0, 0x1800
  csrc mstatus, t0
  li t0, 0x0800
  csrs mstatus, t0
  j m_resume
  .globl s_return
s_return:
  la t0, m_trap_stack_top
  csrw mscratch, t0
  la t0, s_call_sp
  ld sp, 0(t0)
  ld ra, 0(sp)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  ld s\n, 8 + 8 * \n(sp)
  .endr
  addi sp, sp, 112
  ret

  .option arch, +d
  .globl save_fp
save_fp: /* f0 to f31 and fcsr to a0, FS unchanged */
  csrr t0, mstatus
  li t1, 0x6000
  csrs mstatus, t1
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fsd f\n, 8 * \n(a0)
  .endr
  csrr t2, fcsr
  sw t2, 256(a0)
  csrw mstatus, t0
  ret

  .bss
  .balign 16
  .skip 16384
m_stack_top:
  .skip 16384
m_trap_stack_top:
s_call_sp:
  .skip 8
