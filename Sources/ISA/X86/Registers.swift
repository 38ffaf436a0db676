import Engine

/// Where x86-64 state lives in a hart's slots, and what registers are called.
public enum Registers {
  /// The slot of general register 0 (`rax`); the others follow in the order of their numbers.
  public static let gpr = 1
  /// Base addresses of the segments FS and GS.
  public static let fsBase = 98, gsBase = 99
  /// The bits of RFLAGS that are not status flags: DF, IF, TF, AC, ID, IOPL and bit 1.
  public static let otherFlags = 100
  /// MXCSR.
  public static let mxcsr = 101
  /// x87 control, status and tag words.
  public static let fpControl = 102, fpStatus = 103, fpTag = 104
  /// x87: the last opcode, instruction and operand pointers.
  public static let fpOpcode = 105, fpInstruction = 106, fpOperand = 107
  /// Where an x87 or vector register's first slot is: four slots for each of sixteen.
  public static let vector = 128
  /// Eight registers of two slots: significand; sign and exponent.
  ///
  /// By number, not by stack position.
  public static let x87 = 192

  /// The names by size, 64 bits first.
  static let names64 = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
    "r13", "r14", "r15",
  ]
  static let names32 = [
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d",
    "r13d", "r14d", "r15d",
  ]
  static let names16 = [
    "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w",
    "r14w", "r15w",
  ]
  static let names8 = [
    "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
    "r13b", "r14b", "r15b",
  ]
  static let high = ["ah", "ch", "dh", "bh"]

  /// The name of general register `number` at a size; without REX numbers 4 to 7 of a byte are high
  /// bytes.
  public static func name(_ number: UInt8, size: UInt8, rex: Bool) -> String {
    let number = Int(number & 15)
    switch size {
    case 1: return !rex && (4..<8).contains(number) ? high[number - 4] : names8[number]
    case 2: return names16[number]
    case 4: return names32[number]
    default: return names64[number]
    }
  }

  /// The slot of general register `number`.
  @inline(__always)
  public static func slot(_ number: UInt8) -> Int { gpr + Int(number & 15) }

  /// The slot of the register of this 64-bit name.
  public static func slot(named name: String) -> Int? {
    names64.firstIndex(of: name).map { gpr + $0 }
  }
}

/// The bits of RFLAGS beside the status flags.
///
/// - SeeAlso: Intel SDM volume 1, 'EFLAGS Register'.
public enum RFlags {
  /// Always set.
  public static let fixed: UInt64 = 1 << 1
  /// Trap after the next instruction.
  public static let trap: UInt64 = 1 << 8
  /// Interrupts are taken.
  public static let interrupt: UInt64 = 1 << 9
  /// Strings go down.
  public static let direction: UInt64 = 1 << 10
  /// The privilege that I/O takes.
  public static let ioPrivilege: UInt64 = 3 << 12
  /// Nested task.
  public static let nested: UInt64 = 1 << 14
  /// No instruction breakpoint at the next instruction.
  public static let resume: UInt64 = 1 << 16
  /// Virtual-8086 mode.
  static let virtual: UInt64 = 1 << 17
  /// Alignment is checked; where SMAP is on, and in kernel mode, user pages may be accessed.
  public static let alignment: UInt64 = 1 << 18
  /// Can be changed: there is CPUID.
  public static let identification: UInt64 = 1 << 21
  /// Bits that POPF changes in user mode with IOPL 0.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'POPF/POPFD/POPFQ - Pop Stack Into EFLAGS Register'.
  public static let userWritable: UInt64 =
    StatusFlags.all | trap | direction | alignment | identification | 1 << 14

  /// Whether IN, OUT, CLI and STI need no further permission: CPL is at most IOPL.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'I/O Privilege Level'.
  static func mayUseIO(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    x[SystemSlot.privilege] <= (x[Registers.otherFlags] & ioPrivilege) >> 12
  }

  /// Bits that POPF changes at the present privilege.
  static func writable(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    userWritable | (x[SystemSlot.privilege] == 0 ? ioPrivilege : 0)
      | (mayUseIO(x) ? interrupt : 0)
  }

  /// RFLAGS as a whole.
  public static func read(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    StatusFlags.packed(x) | x[Registers.otherFlags] | fixed
  }

  /// Sets RFLAGS as a whole.
  public static func write(_ x: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
    StatusFlags.set(x, value)
    x[Registers.otherFlags] = value & ~StatusFlags.all & 0x3f7f00 | fixed
  }
}
