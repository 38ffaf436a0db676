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

/// Whose instructions a probe displaces.
public enum ProbedText: Sendable, CaseIterable {
  /// The kernel's: kprobes.
  case kernel
  /// A program's: uprobes.
  case user
}

/// Which errno a refusal is in Linux.
public enum ProbeRefusal: Sendable, CaseIterable {
  /// `EINVAL`.
  case invalid
  /// `EOPNOTSUPP`.
  ///
  /// Deviation: for a program's instructions Linux has `ENOTSUPP`, which user space does not know.
  case unsupported
  /// The bytes are no instruction: `EINVAL` in the kernel, `ENOEXEC` in programs.
  case undecodable
}

/// How a probe gets past the instruction that it displaces.
public enum ProbeVerdict: Sendable, Equatable {
  /// It can't: no probe may be there, for this reason.
  case refuse(String, ProbeRefusal = .invalid)
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
  /// What the instruction set wants to know of it at each hit, in a form of its own.
  public var plan: UInt32

  /// An instruction of these bytes.
  public init(bytes: [UInt8], verdict: ProbeVerdict, plan: UInt32 = 0) {
    self.bytes = bytes
    self.verdict = verdict
    self.plan = plan
  }

  /// How many bytes it has.
  public var length: Int { bytes.count }
}

/// The memory that a probed instruction sees.
public protocol ProbedMemory: AnyObject {
  /// The little-endian value of `size` bytes at `va`; `nil` where the instruction would fault.
  func loadMemory(_ va: UInt64, _ size: Int) -> UInt64?
  /// Stores the low `size` bytes of a value.
  ///
  /// - Returns: `false` where the instruction would fault; nothing is changed then.
  func storeMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool
  /// Changes what an instruction has stored already.
  ///
  /// - Returns: `false` where it would fault; nothing is changed then.
  func correctMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool
}

/// An instruction made ready to be simulated at one address.
public protocol InsnSimulation: AnyObject {
  /// Does the instruction's work on a saved frame of ``KernelISA/ptRegs`` layout: its registers and
  /// its pc.
  ///
  /// - Returns: `false` where the instruction would trap; the frame is unchanged then.
  func run(_ frame: UnsafeMutableRawPointer, _ memory: any ProbedMemory) -> Bool
}

/// What a trap must know of an instruction that runs in a slot.
public struct CopiedInsn: Sendable {
  /// How many bytes it has.
  public var length: Int
  /// See ``ProbedInsn/plan``.
  public var plan: UInt32
  /// Whether its class is ``ProbeVerdict/simulate``.
  public var isSimulated: Bool

  /// What is to be known of `insn`.
  public init(_ insn: ProbedInsn) {
    length = insn.length
    plan = insn.plan
    isSimulated = insn.verdict == .simulate
  }
}

/// An instruction's copy in a slot.
public struct SlotCopy: Sendable {
  /// What it is a copy of.
  public var insn: CopiedInsn
  /// Where that is.
  public var va: UInt64
  /// Where the copy is.
  public var slot: UInt64
  /// Whose it is.
  public var text: ProbedText

  /// A copy of the given parts.
  public init(_ insn: CopiedInsn, at va: UInt64, slot: UInt64, _ text: ProbedText) {
    self.insn = insn
    self.va = va
    self.slot = slot
    self.text = text
  }

  /// A copy of an instruction that was classified just now.
  public init(_ insn: ProbedInsn, at va: UInt64, slot: UInt64, _ text: ProbedText) {
    self.init(CopiedInsn(insn), at: va, slot: slot, text)
  }
}

/// What a frame had before it was sent to a slot, in a form of the instruction set's own.
public struct SlotState: Sendable, Equatable {
  /// Bits of the status register.
  public var status: UInt64
  /// A register that is lent to the copy.
  public var scratch: UInt64

  /// Nothing, or the given values.
  public init(status: UInt64 = 0, scratch: UInt64 = 0) {
    self.status = status
    self.scratch = scratch
  }
}

/// What became of a copy at the trap that should end it.
public enum SlotExit: Sendable, Equatable {
  /// It ran: registers and pc are as without the probe.
  case done
  /// The same, and it was being single-stepped by somebody else, who is to hear of it.
  case stepped
  /// It is not over: the frame goes on in the slot.
  case unfinished
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
  /// bytes are given to say so or to hold it, or where they can't be told from data.
  func length(_ bytes: [UInt8]) -> Int?
  /// Classifies the instruction that `bytes` begin with; `nil` where they don't hold one.
  func classify(_ bytes: [UInt8], _ text: ProbedText) -> ProbedInsn?
  /// Makes an instruction of class ``ProbeVerdict/simulate`` ready; `nil` for others.
  func simulation(of bytes: [UInt8], at pc: UInt64, _ text: ProbedText) -> (any InsnSimulation)?
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

  /// What a slot of the kernel holds: the copy, and the break behind it where one ends it.
  ///
  /// - Returns: `nil` where the instruction can't be moved so far.
  func slotImage(_ insn: ProbedInsn, at va: UInt64, slot: UInt64) -> [UInt8]?
  /// What a slot of the kernel holds whose copy goes back by itself, without a trap.
  ///
  /// - Returns: `nil` where something is to be put right behind the copy.
  func boostedImage(_ insn: ProbedInsn, at va: UInt64, slot: UInt64) -> [UInt8]?
  /// What it takes to make a kernel probe a jump; `nil` where none can be one.
  var detours: (any DetourISA)? { get }
  /// What a slot of a program holds, whatever its address and the instruction's.
  func slotImage(_ insn: ProbedInsn) -> [UInt8]
  /// The cause of the trap that ends a copy, where that is no break behind it: a single step.
  func stepCause(_ text: ProbedText) -> UInt64?
  /// Whether the code that a frame returns to is being single-stepped.
  func isSingleStepped(_ frame: UnsafeRawPointer) -> Bool

  /// Sends a frame to a slot: the pc, and what must be otherwise while the copy runs.
  ///
  /// - Returns: what the others take to put that back.
  func enterSlot(_ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy) -> SlotState
  /// The trap came that ends a copy: makes registers and pc what they are without the probe.
  func leaveSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy, _ state: SlotState,
    _ memory: any ProbedMemory
  ) -> SlotExit
  /// Something else came and the copy will not run to its end: puts everything but the pc back.
  func abandonSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy, _ state: SlotState)
  /// Enables interrupts again in a frame that is in a slot.
  func unmaskInterrupts(_ frame: UnsafeMutableRawPointer, _ state: SlotState)

  /// Whether a saved frame returns to user mode.
  func isUser(_ frame: UnsafeRawPointer) -> Bool
  /// Whether `bytes` begin with the instruction that returns from a trap.
  func isTrapReturn(_ bytes: [UInt8]) -> Bool
  /// What the instructions of a program, or of the kernel, work on: all that a probe must leave as
  /// it would be without. What a trap changes is not among the kernel's.
  func stateSlots(ofKernel: Bool) -> [StateSlot]
  /// Writes what slots say in more than one form to where ``stateSlots(ofKernel:)`` look for it:
  /// slots that mean nothing between two instructions.
  func showState(_ hart: Hart)

  /// The registers of a frame by name, in the order of the frame (`regs_query_register_offset`).
  var registerNames: [String] { get }
  /// Where a register lies in the frame, by any name that it has; `nil` for unknown ones.
  func registerOffset(_ name: String) -> Int?
  /// Where general register `number` lies; `nil` where there is none, or where it is always zero.
  func registerOffset(_ number: Int) -> Int?
  /// Where the n-th argument of a function call lies, from 0; `nil` where it is not in a register.
  func argumentOffset(_ n: Int) -> Int?
  /// Which word above the stack pointer the n-th argument is at the function's entry, from 0; `nil`
  /// where it is not on the stack.
  func argumentWord(_ n: Int) -> Int?
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
  /// Does to the frame what the function's return does, but for the pc.
  ///
  /// - Returns: where it returns to; `nil` where that can't be read, and nothing is changed.
  func leaveFunction(_ frame: UnsafeMutableRawPointer, load: (UInt64) -> UInt64?) -> UInt64?
  /// Whether the frame of a function that began with stack pointer `then` still exists once the
  /// stack pointer is `now` (`arch_uretprobe_is_alive`).
  func isFrameAlive(then: UInt64, now: UInt64, _ when: FrameCheck) -> Bool
  /// Where frames are linked.
  var frameRecord: FrameRecord { get }
}

extension ProbeISA {
  /// A break ends every copy.
  public func stepCause(_ text: ProbedText) -> UInt64? { nil }
  /// Every copy is ended by a trap.
  public func boostedImage(_ insn: ProbedInsn, at va: UInt64, slot: UInt64) -> [UInt8]? { nil }
  /// None can be one.
  public var detours: (any DetourISA)? { nil }
  /// None is looked for there.
  public func argumentWord(_ n: Int) -> Int? { nil }
  /// There is no such thing.
  public func isSingleStepped(_ frame: UnsafeRawPointer) -> Bool { false }
  /// The return address is in a register.
  public func leaveFunction(
    _ frame: UnsafeMutableRawPointer, load: (UInt64) -> UInt64?
  ) -> UInt64? {
    returnAddress(UnsafeRawPointer(frame), load: load)
  }
  /// Slots have one form.
  public func showState(_ hart: Hart) {}
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
