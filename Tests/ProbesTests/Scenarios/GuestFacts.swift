import GuestKernel
import Machine

/// What the scenarios know of a guest's instructions, registers and signals: here only.
///
/// `Programs/scenes_*.h` have the same functions for each.
struct GuestFacts: Sendable {
  /// Whether a hart sees at once what is written over text that it has fetched.
  let hasCoherentFetch: Bool
  /// What a return adds to the stack pointer.
  let popped: UInt64

  // MARK: Programs

  /// The break in place of an instruction.
  let brk: [UInt8]
  /// How far behind itself the break's trap leaves the pc.
  let breakTrapOffset: UInt64
  /// What is behind the copy in a slot: a break, unless a single step ends it.
  let slotEnd: [UInt8]
  /// `xorfn`, which is in /lib too: an instruction of four bytes and what returns its result.
  let xor: [UInt8]
  /// The function that adds one, of the same form.
  let add: [UInt8]
  /// Bytes that are no instruction, and what a probe there is refused with.
  let undefined: (bytes: [UInt8], errno: Errno)
  /// The instruction that enters the kernel, and what a probe there is refused with.
  let systemCall: (name: String, errno: Errno)
  /// A function whose first instruction is simulated, the step that calls it, and how often it does
  /// with the argument 3.
  let simulated: (function: String, step: String, hits: UInt64)
  /// The length of the shortest instruction that runs in a slot: `shortfn`'s first.
  let shortLength: Int
  /// A jump 64 bytes on, and one to itself.
  let jumpBy64: [UInt8], endlessLoop: [UInt8]
  /// What the program writes over the first two bytes of `xor`, and what then becomes of 1.
  let patch: (bytes: [UInt8], result: Int)
  /// What a program's own break tells its handler: how far behind the break the pc is, `si_code`, and
  /// whether `si_addr` is the break's; alone, and beside probes.
  let ownBreak: (alone: [Int], besideProbes: [Int])
  /// What a program dies of that runs zeros in place of one of its functions.
  let zeros: Int32
  /// What it dies of behind a copy that nobody waits for.
  var behindACopy: Int32 { slotEnd.isEmpty ? zeros : Signal.SIGTRAP }
  /// Registers that a function leaves as they were, the stack pointer first.
  let preserved: [String]

  // MARK: The kernel

  /// The break over a whole instruction of the kernel's, and what follows its copy in a slot.
  let kernelBreak: @Sendable (_ insn: [UInt8]) -> [UInt8], kernelSlotEnd: [UInt8]
  /// A jump over a distance from its own address.
  let kernelJump: @Sendable (_ distance: Int64) -> [UInt8]
  /// Instructions of the probe targets: the store in `probe_stacked`, the one of
  /// `probe_tail_third` that works.
  let storeName: String, xorName: String
  /// Instructions of the targets that are simulated, with their lengths, and those that are atomic.
  let simulatedInKernel: [String], atomics: Set<String>
  /// Bytes that are no instruction of the kernel's either.
  let undefinedInKernel: [[UInt8]]
  /// The register and its bit that says whether interrupts come.
  let interruptFlag: (register: String, bit: UInt64)
  /// The function that an interrupt calls with its frame.
  let interruptHandler: String
  /// Functions that take no probes, on the way of every break.
  let trapPath: [String]
  /// Registers that a function of the kernel leaves as they were.
  let calleeSaved: [String]
  /// What else of the frame is at a return as it was at the entry, the stack pointer first; zeros
  /// where nobody saves it.
  let keptInFrame: [String]
  /// The frame pointer, and the register of the first argument.
  let framePointer: String, firstArgument: String

  /// The file /lib: at 0x1040 `xor`, at 0x2040 `add`, at 0x1100 what is no instruction; its fourth
  /// page is data.
  var library: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4 * 4096)
    for (at, part) in [(0x1040, xor), (0x2040, add), (0x1100, undefined.bytes)] {
      bytes.replaceSubrange(at..<(at + part.count), with: part)
    }
    return bytes
  }

  /// What the program reads at `xor` while there is a break: two bytes.
  var armedWord: Int { Self.word(brk + xor[brk.count...]) }
  /// What it reads once it has patched it.
  var patchedWord: Int { Self.word(patch.bytes) }

  private static func word(_ bytes: [UInt8]) -> Int { Int(bytes[0]) | Int(bytes[1]) << 8 }

  static func of(_ guest: ProgramArchitecture) -> GuestFacts {
    switch guest {
    case .riscv64: riscv64
    case .x86_64: x86_64
    }
  }

  private static let riscv64 = GuestFacts(
    hasCoherentFetch: false, popped: 0,
    brk: [0x02, 0x90], breakTrapOffset: 0,
    slotEnd: [0x73, 0x00, 0x10, 0x00],
    // xori a0, a0, 85; ret
    xor: [0x13, 0x45, 0x55, 0x05, 0x82, 0x80],
    // addi a0, a0, 1; ret
    add: [0x13, 0x05, 0x15, 0x00, 0x82, 0x80],
    undefined: ([0, 0, 0, 0], .EINVAL),
    systemCall: ("ecall", .EINVAL), simulated: ("deep", "N", 4),
    shortLength: 2,
    jumpBy64: [0x6f, 0x00, 0x00, 0x04], endlessLoop: [0x6f, 0x00, 0x00, 0x00],
    // c.addi a0, 1; what is left of the long instruction is one too: c.addi a0, 21.
    patch: ([0x05, 0x05], 23),
    // SIGTRAP is TRAP_BRKPT where no probe is near, and the kernel's own where one is.
    ownBreak: ([0, 1, 1], [0, 0x80, 0]),
    zeros: Signal.SIGILL,
    preserved: ["sp", "gp", "tp", "s0", "s1", "s2", "s11"],
    kernelBreak: { $0.count == 2 ? [0x02, 0x90] : [0x73, 0x00, 0x10, 0x00] },
    kernelSlotEnd: [0x73, 0x00, 0x10, 0x00],
    // j
    kernelJump: {
      let d = UInt32(truncatingIfNeeded: $0)
      let bits =
        (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20
        | (d >> 12 & 0xff) << 12 | 0x6f
      return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    },
    storeName: "sw", xorName: "xori",
    simulatedInKernel: ["auipc4", "jal2", "jalr2", "jalr4", "beq2", "bne2", "bne4"],
    atomics: ["amoadd.w.aqrl", "amoswap.w.aqrl"],
    undefinedInKernel: [[0, 0, 0, 0], [0x0b, 0, 0, 0]],
    interruptFlag: ("status", 1 << 5), interruptHandler: "handle_riscv_irq",
    trapPath: ["handle_exception", "do_trap_break"],
    calleeSaved: (0..<12).map { "s\($0)" }, keptInFrame: ["sp", "status", "gp", "tp"],
    framePointer: "s0", firstArgument: "a0")

  private static let x86_64 = GuestFacts(
    hasCoherentFetch: true, popped: 8,
    brk: [0xcc], breakTrapOffset: 1,
    slotEnd: [],
    // xor rdi, 85; mov rax, rdi; ret
    xor: [0x48, 0x83, 0xf7, 0x55, 0x48, 0x89, 0xf8, 0xc3],
    // add rdi, 1; mov rax, rdi; ret
    add: [0x48, 0x83, 0xc7, 0x01, 0x48, 0x89, 0xf8, 0xc3],
    undefined: ([0x06, 0x06, 0x06, 0x06], .ENOEXEC),
    systemCall: ("syscall", .EOPNOTSUPP), simulated: ("outer", "U", 1),
    shortLength: 1,
    jumpBy64: [0xeb, 0x3e], endlessLoop: [0xeb, 0xfe],
    // jmp over the two bytes that are left
    patch: ([0xeb, 0x02], 1),
    // INT3 is the kernel's own signal, always.
    ownBreak: ([1, 0x80, 0], [1, 0x80, 0]),
    // add [rax], al, with rax = the function
    zeros: Signal.SIGSEGV,
    preserved: ["sp", "bp", "bx", "r12", "r13", "r14", "r15"],
    kernelBreak: { [0xcc] + $0.dropFirst() }, kernelSlotEnd: [0xcc],
    // jmp rel32
    kernelJump: {
      let d = UInt32(truncatingIfNeeded: $0 - 5)
      return [0xe9] + (0..<4).map { UInt8(truncatingIfNeeded: d >> (8 * $0)) }
    },
    storeName: "mov", xorName: "xor",
    simulatedInKernel: ["call5", "jmp5", "je2", "jne2", "jbe2", "ret1"],
    atomics: ["xadd", "cmpxchg", "xchg"],
    undefinedInKernel: [[0x06, 0, 0, 0], [0x0f, 0x04, 0, 0]],
    interruptFlag: ("flags", 1 << 9), interruptHandler: "sysvec_reschedule_ipi",
    trapPath: ["asm_exc_int3", "exc_int3"],
    calleeSaved: ["bx", "bp", "r12", "r13", "r14", "r15"], keptInFrame: ["sp", "ss", "cs"],
    framePointer: "bp", firstArgument: "di")
}
