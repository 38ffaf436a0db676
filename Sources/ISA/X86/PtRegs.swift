import Engine

/// The saved frame: Linux's `struct pt_regs`, field by field, as byte offsets.
///
/// - SeeAlso: Linux, `arch/x86/include/asm/ptrace.h`, `struct pt_regs`.
public enum PtRegs {
  /// General registers.
  public static let r15 = 0, r14 = 8, r13 = 16, r12 = 24, rbp = 32, rbx = 40, r11 = 48
  /// General registers.
  public static let r10 = 56, r9 = 64, r8 = 72, rax = 80, rcx = 88, rdx = 96, rsi = 104, rdi = 112
  /// The number of the system call; -1 of a frame that is none's.
  public static let originalRAX = 120
  /// What the processor pushes.
  public static let rip = 128, cs = 136, flags = 144, rsp = 152, ss = 160
  /// Bytes in the frame.
  public static let size = 168

  /// General registers by number.
  static let general = [
    rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15,
  ]

  static let layout = PtRegsLayout(
    size: size, pc: rip, sp: rsp, tp: nil, syscallNumber: originalRAX,
    arguments: [rdi, rsi, rdx, r10, r8, r9], result: rax, originalArgument0: originalRAX)
}
