/// What a break instruction that a probe writes is for.
public enum BreakRole: Sendable, CaseIterable {
  /// In place of a kernel instruction.
  case kprobe
  /// Behind the copy of a kernel instruction in its slot.
  case kprobeStep
  /// Where a kernel function returns to while a return probe waits for it.
  case kretprobe
  /// In place of a program's instruction.
  case uprobe
  /// Behind the copy of a program's instruction in its slot.
  case uprobeStep
  /// Where a program's function returns to while a return probe waits for it.
  case uretprobe
}

/// How a probe gets past the instruction that it displaces.
public enum ProbeVerdict: Sendable, Equatable {
  /// It can't: no probe may be there, for this reason.
  case refuse(String)
  /// Its work is done on the saved registers.
  case simulate
  /// A copy of it runs in a slot.
  case outOfLine
}

/// One instruction as probes see it.
public struct ProbedInsn: Sendable, Equatable {
  /// Its bytes.
  public var bytes: [UInt8]
  /// How a probe gets past it.
  public var verdict: ProbeVerdict

  /// An instruction of these bytes.
  public init(bytes: [UInt8], verdict: ProbeVerdict) {
    self.bytes = bytes
    self.verdict = verdict
  }

  /// How many bytes it has.
  public var length: Int { bytes.count }
}

/// An instruction made ready to be simulated at one address.
public protocol InsnSimulation: AnyObject {
  /// Does the instruction's work on a saved frame of ``KernelISA/ptRegs`` layout: its registers and
  /// its pc.
  ///
  /// - Returns: `false` where the instruction would trap; the frame is unchanged then.
  func run(_ frame: UnsafeMutableRawPointer) -> Bool
}

/// A register of a hart, as part of the state that programs see.
public struct StateSlot: Sendable, Equatable {
  /// Its name in the manuals.
  public var name: String
  /// Where the hart keeps it (``Hart/x``).
  public var slot: Int
  /// Which of its bits count.
  public var mask: UInt64

  /// All bits of a slot, or those of `mask`.
  public init(_ name: String, slot: Int, mask: UInt64 = .max) {
    self.name = name
    self.slot = slot
    self.mask = mask
  }
}

/// What probes must know of an instruction set: facts, no mechanism.
public protocol ProbeISA: AnyObject {
  /// Addresses of instructions are multiples of this.
  var insnAlignment: UInt64 { get }
  /// Bytes of the longest instruction.
  var maxInsnLength: Int { get }
  /// Bytes from one kprobe slot to the next.
  var kprobeSlotSize: Int { get }
  /// Bytes from one uprobe slot to the next.
  var uprobeSlotSize: Int { get }

  /// The length of the instruction that begins with `bytes`, legal or not; `nil` where too few
  /// bytes are given to say so or to hold it.
  func length(_ bytes: [UInt8]) -> Int?
  /// Classifies the instruction that `bytes` begin with; `nil` where they don't hold one.
  func classify(_ bytes: [UInt8]) -> ProbedInsn?
  /// Makes an instruction of class ``ProbeVerdict/simulate`` ready; `nil` for others.
  func simulation(of bytes: [UInt8], at pc: UInt64) -> (any InsnSimulation)?
  /// The text of the instruction that `bytes` begin with.
  func disassemble(_ bytes: [UInt8], at pc: UInt64) -> String

  /// The break for a role, over an instruction of `length` bytes.
  func breakpoint(_ role: BreakRole, over length: Int) -> [UInt8]
  /// Whether the instruction begins or ends an exclusive sequence, which no trap may interrupt.
  func exclusiveAccess(_ bytes: [UInt8]) -> ExclusiveAccess?
  /// Most instructions between the beginning of an exclusive sequence and its end.
  var exclusiveReach: Int { get }

  /// Whether `bytes` begin with a break instruction of whatever length and for whomever.
  func isBreakpoint(_ bytes: [UInt8]) -> Bool
  /// Whether a trap's cause is a break instruction.
  func isBreak(cause: UInt64) -> Bool
  /// How far behind the break instruction its trap leaves the saved pc.
  var breakTrapOffset: UInt64 { get }
  /// What a slot holds: the instruction, then the break that ends it.
  func slotImage(_ insn: [UInt8], user: Bool) -> [UInt8]

  /// Masks interrupts in a frame that is about to run a slot.
  ///
  /// - Returns: what ``restoreInterrupts(_:_:)`` takes to put them back.
  func maskInterrupts(_ frame: UnsafeMutableRawPointer) -> UInt64
  /// Puts interrupts back as they were.
  func restoreInterrupts(_ frame: UnsafeMutableRawPointer, _ saved: UInt64)
  /// Whether a saved frame returns to user mode.
  func isUser(_ frame: UnsafeRawPointer) -> Bool
  /// Whether `bytes` begin with the instruction that returns from a trap.
  func isTrapReturn(_ bytes: [UInt8]) -> Bool
  /// What the instructions of a program, or of the kernel, work on: all that a probe must leave as
  /// it would be without. What a trap changes is not among the kernel's.
  func stateSlots(ofKernel: Bool) -> [StateSlot]

  /// The registers of a frame by name, in the order of the frame (`regs_query_register_offset`).
  var registerNames: [String] { get }
  /// Where a register lies in the frame, by any name that it has; `nil` for unknown ones.
  func registerOffset(_ name: String) -> Int?
  /// Where general register `number` lies; `nil` where there is none, or where it is always zero.
  func registerOffset(_ number: Int) -> Int?
  /// Where the n-th argument of a function call lies, from 0; `nil` where it is not in a register.
  func argumentOffset(_ n: Int) -> Int?
  /// Where a function's result lies.
  var returnValueOffset: Int { get }
  /// The address that a function will return to, at its first instruction; `nil` where it can't be
  /// read.
  func returnAddress(_ frame: UnsafeRawPointer, load: (UInt64) -> UInt64?) -> UInt64?
  /// Makes the function return elsewhere.
  ///
  /// - Returns: whether that could be written.
  func setReturnAddress(
    _ frame: UnsafeMutableRawPointer, _ address: UInt64, store: (UInt64, UInt64) -> Bool
  ) -> Bool
  /// Whether the frame of a function that began with stack pointer `then` still exists once the
  /// stack pointer is `now` (`arch_uretprobe_is_alive`).
  func isFrameAlive(then: UInt64, now: UInt64, _ when: FrameCheck) -> Bool
  /// Where frames are linked.
  var frameRecord: FrameRecord { get }
}

/// Where a function that keeps a frame pointer leaves what a stack trace needs.
public struct FrameRecord: Sendable {
  /// Offset of the frame pointer in the saved frame.
  public var framePointer: Int
  /// Where the return address lies, in bytes from the frame pointer.
  public var returnAddress: Int
  /// Where the caller's frame pointer lies, in bytes from the frame pointer.
  public var previous: Int

  /// A record of the given offsets.
  public init(framePointer: Int, returnAddress: Int, previous: Int) {
    self.framePointer = framePointer
    self.returnAddress = returnAddress
    self.previous = previous
  }
}

/// When a return probe asks whether a frame still exists (`enum rp_check`).
public enum FrameCheck: Sendable {
  /// At the entry of a function.
  case call
  /// At the entry of a function that was tail-called.
  case chainCall
  /// At a return.
  case ret
}

/// What an instruction does to the hart's reservation (exclusive monitor).
public enum ExclusiveAccess: Sendable {
  /// Sets it.
  case load
  /// Uses it.
  case store
}
