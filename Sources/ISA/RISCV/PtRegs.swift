import Engine

/// The saved frame: Linux's `struct pt_regs`, field by field, as byte offsets.
///
/// - SeeAlso: Linux, `arch/riscv/include/asm/ptrace.h`, `struct pt_regs`.
public enum PtRegs {
  /// Saved pc.
  public static let epc = 0
  /// Where x`n` is saved, for n in 1...31: they follow the pc in order.
  public static func x(_ n: Int) -> Int { 8 * n }
  /// Saved sstatus.
  public static let status = 256
  /// Saved stval.
  public static let badaddr = 264
  /// Saved scause.
  public static let cause = 272
  /// The first argument of a system call, which its result overwrites.
  public static let originalA0 = 280
  /// Bytes in the frame.
  public static let size = 288
  /// Bytes that `struct user_regs_struct` has of it: pc and x1 to x31.
  public static let userSize = 256

  static let layout = PtRegsLayout(
    size: size, pc: epc, sp: x(2), tp: x(4), syscallNumber: x(17),
    arguments: [x(10), x(11), x(12), x(13), x(14), x(15)], result: x(10),
    originalArgument0: originalA0)
}
