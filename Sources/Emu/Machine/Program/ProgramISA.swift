import CKernelImages
import Engine
import GuestKernel
import Image
import Probes
import RISCV
import X86

/// What a program's machine must know of its hart's instruction set, beside what kernels and probes
/// must: where things are, and how the hart's own timer and calls are reached.
public protocol ProgramISA: AnyObject {
  /// The hart's instruction set.
  var guest: any GuestISA { get }
  /// How many TLBs a hart needs.
  var tlbCount: Int { get }
  /// Physical address of the first byte of RAM.
  var ramBase: UInt64 { get }
  /// What a kernel must know.
  var kernel: any KernelISA { get }
  /// What probes must know.
  func makeProbeISA() -> any ProbeISA
  /// The built-in guest kernel's image.
  var kernelImage: [UInt8] { get }
  /// The MMU indices under which programs run, for ``Hart/observe(_:modes:)``.
  var userModes: UInt64 { get }
  /// What traces must know.
  var trace: any TraceISA { get }
  /// What a snapshot's machine must agree in.
  var details: [String: String] { get }

  /// What Linux makes of a cause that is neither a system call nor a page fault, of a trap that
  /// `hart` has just taken or of one that was only emulated.
  func signal(_ cause: UInt64, _ hart: Hart?) -> TrapSignal
  /// Puts the hart at the entry of the guest kernel's image.
  func start(_ hart: Hart, pc: UInt64, root: UInt64)
  /// Says where an instruction for random numbers gets so many bytes from.
  func setRandom(_ source: @escaping (Int) -> [UInt8])
  /// Says how far the machine's ticks are ahead of the hart's count.
  func setTimeOffset(_ offset: UInt64, _ hart: Hart)
  /// Has the hart's timer fire at a tick; `nil`: never.
  func setTimer(_ deadline: UInt64?, _ hart: Hart)
  /// Interrupts the hart: what waits goes on.
  func interrupt(_ hart: Hart)
  /// The call of the model that the hart makes; `nil` where it makes another one, which is answered.
  func gateCall(_ hart: Hart) -> (function: UInt64, a0: UInt64, a1: UInt64, a2: UInt64)?
  /// Gives the hart the model's answer.
  func answer(_ reply: GateReply, _ hart: Hart)
  /// Cause and saved pc of the last trap that the kernel took.
  func lastTrap(_ hart: Hart) -> (cause: UInt64, pc: UInt64)
  /// Why the hart will never run again; `nil` where it may.
  func failure(_ hart: Hart) -> String?
}

extension ProgramISA {
  /// Whether the hart runs a program.
  @inline(__always)
  func isUser(_ hart: Hart) -> Bool { userModes >> hart.x[Slot.mmuIndex] & 1 == 1 }

  /// The number that a call of the model carries.
  ///
  /// - SeeAlso: `images/kernel/src/gate.h`; RISC-V Supervisor Binary Interface Specification,
  ///   'Vendor Specific Extension Space (EIDs 0x09000000 - 0x09FFFFFF)'.
  static var gate: UInt64 { 0x0945_4d55 }
}

/// Which instruction set a program's machine has.
public enum ProgramArchitecture: String, Sendable, CaseIterable {
  /// RV64GC.
  case riscv64
  /// x86-64.
  case x86_64

  /// The one that an ELF file's `e_machine` names.
  public init?(elfMachine: UInt16) {
    let found = Self.allCases.first { $0.kernel.elfMachine == elfMachine }
    guard let found else { return nil }
    self = found
  }

  /// The one that the header at the start of an ELF file names.
  init?(elf bytes: [UInt8]) {
    guard bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]), bytes.count >= 20 else { return nil }
    self.init(elfMachine: UInt16(bytes[18]) | UInt16(bytes[19]) << 8)
  }

  /// What its makers call it.
  var title: String {
    switch self {
    case .riscv64: "RISC-V"
    case .x86_64: "x86-64"
    }
  }

  /// The guest kernel that is built in: an ELF file.
  var kernelImage: [UInt8] {
    let (bytes, size) =
      switch self {
      case .riscv64: (emu_kernel_riscv64_bytes(), emu_kernel_riscv64_size())
      case .x86_64: (emu_kernel_x86_64_bytes(), emu_kernel_x86_64_size())
      }
    return Array(UnsafeRawBufferPointer(start: bytes, count: Int(size)))
  }

  /// What a kernel must know of it.
  public var kernel: any KernelISA {
    switch self {
    case .riscv64: RISCVKernelISA()
    case .x86_64: X86KernelISA()
    }
  }

  /// What traces must know of it.
  public var trace: any TraceISA {
    switch self {
    case .riscv64: RISCVTraceISA()
    case .x86_64: X86TraceISA()
    }
  }

  /// The instruction set of a machine's hart.
  func make(compressed: Bool) -> any ProgramISA {
    switch self {
    case .riscv64: RISCVProgramISA(compressed: compressed)
    case .x86_64: X86ProgramISA()
    }
  }
}

/// RV64: the gate is a call of the supervisor's environment, time is Sstc's.
final class RISCVProgramISA: ProgramISA {
  private let rv: RV64
  let kernel: any KernelISA

  init(compressed: Bool) {
    rv = RV64(compressed: compressed)
    kernel = RISCVKernelISA(compressed: compressed)
  }

  var guest: any GuestISA { rv }
  var tlbCount: Int { RV64.tlbCount }
  var ramBase: UInt64 { BoardMap.ramBase }
  var kernelImage: [UInt8] { ProgramArchitecture.riscv64.kernelImage }
  let userModes = RV64.userModes
  let trace: any TraceISA = RISCVTraceISA()
  var details: [String: String] {
    ["compressed instructions": rv.hasCompressed ? "yes" : "no"]
  }

  /// - SeeAlso: Linux, `arch/riscv/kernel/traps.c`.
  func signal(_ cause: UInt64, _ hart: Hart?) -> TrapSignal {
    switch cause {
    case 0, 4, 6: .misaligned
    case 1, 5, 7: .access
    case 3: .breakpoint
    default: .illegal
    }
  }

  /// There is none.
  func setRandom(_ source: @escaping (Int) -> [UInt8]) {}
  func start(_ hart: Hart, pc: UInt64, root: UInt64) {
    rv.enterSupervisor(hart, pc: pc, root: root)
  }
  func setTimeOffset(_ offset: UInt64, _ hart: Hart) { rv.setTimeOffset(offset, hart) }
  func setTimer(_ deadline: UInt64?, _ hart: Hart) {
    rv.setTimerCompare(deadline ?? .max, hart)
  }
  /// By the software interrupt.
  func interrupt(_ hart: Hart) { rv.setPending(1 << 1, true, hart) }

  func gateCall(_ hart: Hart) -> (function: UInt64, a0: UInt64, a1: UInt64, a2: UInt64)? {
    let x = hart.x
    guard x[17] == Self.gate else {
      // Firmware calls that this kernel does not make: SBI_ERR_NOT_SUPPORTED.
      x[10] = UInt64(bitPattern: -2)
      x[11] = 0
      return nil
    }
    return (x[16], x[10], x[11], x[12])
  }

  func answer(_ reply: GateReply, _ hart: Hart) {
    let x = hart.x
    x[10] = reply.value
    x[11] = reply.action.rawValue
    x[12] = reply.a2
  }

  func makeProbeISA() -> any ProbeISA { RISCVProbeISA(compressed: rv.hasCompressed) }
  func lastTrap(_ hart: Hart) -> (cause: UInt64, pc: UInt64) { rv.lastTrap(hart) }
  func failure(_ hart: Hart) -> String? { nil }
}

/// x86-64: the gate is VMCALL, time is the TSC deadline.
final class X86ProgramISA: ProgramISA {
  private let x86 = X64()
  let kernel: any KernelISA = X86KernelISA()

  var guest: any GuestISA { x86 }
  var tlbCount: Int { X64.tlbCount }
  var ramBase: UInt64 { 0 }
  var kernelImage: [UInt8] { ProgramArchitecture.x86_64.kernelImage }
  let userModes = X64.userModes
  var trace: any TraceISA { X86TraceISA(features: x86.features) }
  var details: [String: String] { [:] }
  /// Linux's `RESCHEDULE_VECTOR`.
  private static let wake: UInt64 = 0xfd

  /// - SeeAlso: Linux, `arch/x86/kernel/traps.c`, `get_si_code`.
  func signal(_ cause: UInt64, _ hart: Hart?) -> TrapSignal {
    switch cause {
    case 0: TrapSignal(signal: Signal.SIGFPE, code: 1)
    case 1:
      switch hart.map({ x86.lastDebugCause($0) }) {
      case .breakpoint: .hardwareBreakpoint
      case .instruction: .breakpoint
      case .step, nil: .trace
      }
    case 3: .kernel(Signal.SIGTRAP)
    case 6: TrapSignal(signal: Signal.SIGILL, code: 2)
    case 11, 12: .kernel(Signal.SIGBUS)
    case 16, 19: TrapSignal(signal: Signal.SIGFPE, code: 7)
    case 17: .misaligned
    default: .kernel(Signal.SIGSEGV)
    }
  }

  func start(_ hart: Hart, pc: UInt64, root: UInt64) { x86.enterKernel(hart, pc: pc, root: root) }
  func setRandom(_ source: @escaping (Int) -> [UInt8]) { x86.random = source }
  func setTimeOffset(_ offset: UInt64, _ hart: Hart) { x86.setTimeOffset(offset, hart) }
  func setTimer(_ deadline: UInt64?, _ hart: Hart) {
    // The counter never is 0 when a deadline could be, and 0 disarms.
    x86.setTimer(deadline.map { max($0, 1) } ?? 0, hart)
  }
  func interrupt(_ hart: Hart) { x86.interrupt(Self.wake, hart) }

  func gateCall(_ hart: Hart) -> (function: UInt64, a0: UInt64, a1: UInt64, a2: UInt64)? {
    let x = hart.x
    guard x[Self.rax] == Self.gate else {
      // KVM_ENOSYS: no other calls are served.
      x[Self.rax] = UInt64(bitPattern: -1000)
      return nil
    }
    return (x[Self.rcx], x[Self.rdi], x[Self.rsi], x[Self.rdx])
  }

  func answer(_ reply: GateReply, _ hart: Hart) {
    let x = hart.x
    x[Self.rax] = reply.value
    x[Self.rcx] = reply.action.rawValue
    x[Self.rdx] = reply.a2
  }

  private static let rax = Registers.slot(0), rcx = Registers.slot(1), rdx = Registers.slot(2)
  private static let rsi = Registers.slot(6), rdi = Registers.slot(7)

  func makeProbeISA() -> any ProbeISA { X86ProbeISA() }
  func lastTrap(_ hart: Hart) -> (cause: UInt64, pc: UInt64) { x86.lastTrap(hart) }
  func failure(_ hart: Hart) -> String? {
    x86.isShutDown(hart) ? "a fault during a double fault: the processor is shut down" : nil
  }
}
