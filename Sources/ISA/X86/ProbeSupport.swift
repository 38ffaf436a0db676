import Engine

/// What probes must know of x86-64.
///
/// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `arch/x86/kernel/uprobes.c`
public final class X86ProbeISA: ProbeISA {
  /// How the kernel's copies end.
  public enum KernelStep: Sendable, CaseIterable {
    /// By an INT3 behind the copy: Linux since 5.13.
    case breakBehind
    /// By TF: Linux before, and most other systems.
    case singleStep
  }

  let kernelStep: KernelStep
  /// Whether copies of the kernel's that need nothing put right end by a jump back.
  let boosts: Bool
  private let simulator: InsnSimulator?

  /// The facts, with one of the ways to end a copy in the kernel.
  ///
  /// - Parameters:
  ///   - kernelStep: how the kernel's copies end that do not go back by themselves.
  ///   - boosts: whether there are others, as in Linux where the kernel is not preemptible; with
  ///     ``KernelStep/breakBehind`` only.
  public init(kernelStep: KernelStep = .breakBehind, boosts: Bool = true) {
    self.kernelStep = kernelStep
    self.boosts = boosts
    simulator = InsnSimulator(isa: X64(), tlbCount: X64.tlbCount)
  }

  /// Any address.
  public var insnAlignment: UInt64 { 1 }
  /// Fifteen.
  public var maxInsnLength: Int { Decoder.maxLength }
  /// The longest instruction and a break.
  public var kprobeSlotSize: Int { 16 }
  /// - SeeAlso: Linux, `arch/x86/include/asm/uprobes.h`, `UPROBE_XOL_SLOT_BYTES`
  public var uprobeSlotSize: Int { 128 }

  // MARK: Instructions

  /// What the decoder says; `nil` for what it does not know.
  public func length(_ bytes: [UInt8]) -> Int? {
    guard case .insn(let insn) = Decoder.decode(bytes) else { return nil }
    return Int(insn.length)
  }

  /// By Linux's tables; ``ProbedForm`` says where they are left.
  public func classify(_ bytes: [UInt8], _ text: ProbedText) -> ProbedInsn? {
    switch Decoder.decode(bytes) {
    case .truncated: return nil
    case .undefined, .tooLong:
      return ProbedInsn(
        bytes: Array(bytes.prefix(1)), verdict: .refuse("not an instruction", .undecodable))
    case .insn(let insn):
      let own = Array(bytes.prefix(Int(insn.length)))
      let form = ProbedForm(insn, own)
      return ProbedInsn(
        bytes: own, verdict: text == .kernel ? form.kernelVerdict : form.userVerdict,
        plan: form.plan.rawValue)
    }
  }

  /// By the lift that the hart runs, where no memory is accessed; pushes and pops on the frame.
  public func simulation(
    of bytes: [UInt8], at pc: UInt64, _ text: ProbedText
  ) -> (any InsnSimulation)? {
    guard let known = classify(bytes, text), known.verdict == .simulate,
      case .insn(let insn) = Decoder.decode(known.bytes)
    else { return nil }
    if let stack = StackSimulation(insn, pc) { return stack }
    guard let simulator else { return nil }
    return LiftedSimulation(
      simulator.prepare(pc: pc, length: UInt64(insn.length)) {
        var lift = Lift(builder: $0, flags: 0)
        lift.lift(insn)
      })
  }

  /// As ``Disassembler`` says.
  public func disassemble(_ bytes: [UInt8], at pc: UInt64) -> String {
    guard case .insn(let insn) = Decoder.decode(bytes) else {
      return bytes.first.map { ".byte 0x" + String($0, radix: 16) } ?? ""
    }
    return Disassembler.text(insn, pc: pc)
  }

  /// There are none: LOCK makes one instruction atomic.
  public func exclusiveAccess(_ bytes: [UInt8]) -> ExclusiveAccess? { nil }
  /// None.
  public var exclusiveReach: Int { 0 }

  // MARK: Breaks

  static let int3: UInt8 = 0xcc

  /// INT3 whatever it is for.
  ///
  /// Deviation: the trampolines of return probes are breaks too, as they were in Linux before it had
  /// `arch_rethook_trampoline` and the `uretprobe` system call.
  public func breakpoint(_ role: BreakRole, over length: Int) -> [UInt8] { [Self.int3] }

  /// INT3, not INT 3.
  public func isBreakpoint(_ bytes: [UInt8]) -> Bool { bytes.first == Self.int3 }
  /// #BP.
  public func isBreak(cause: UInt64) -> Bool { cause == 3 }
  /// It is a trap: the saved RIP is behind it.
  public var breakTrapOffset: UInt64 { 1 }
  /// #DB ends a program's copies, and the kernel's where that is asked for.
  public func stepCause(_ text: ProbedText) -> UInt64? {
    text == .user || kernelStep == .singleStep ? 1 : nil
  }

  // MARK: The frame

  func load(_ frame: UnsafeRawPointer, _ offset: Int) -> UInt64 {
    frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }
  func store(_ frame: UnsafeMutableRawPointer, _ offset: Int, _ value: UInt64) {
    frame.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
  }

  /// TF.
  public func isSingleStepped(_ frame: UnsafeRawPointer) -> Bool {
    load(frame, PtRegs.flags) & RFlags.trap != 0
  }

  /// The privilege in CS.
  public func isUser(_ frame: UnsafeRawPointer) -> Bool { load(frame, PtRegs.cs) & 3 != 0 }

  /// IRETQ.
  public func isTrapReturn(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x48, 0xcf]) }

  /// What instruction traces show of a program; of the kernel the general registers, flags and CR3.
  ///
  /// x87's instruction pointer is not among them: an instruction in a slot leaves the slot's address
  /// there, as in Linux.
  public func stateSlots(ofKernel: Bool) -> [StateSlot] {
    let all = X86TraceISA.program.map {
      $0.slot == Registers.otherFlags
        ? StateSlot($0.name, slot: Slot.temp, mask: ~RFlags.resume) : $0
    }
    return ofKernel ? Array(all.prefix(17)) + [StateSlot("cr3", slot: SystemSlot.cr3)] : all
  }

  /// RFLAGS as a whole go to a temporary.
  public func showState(_ hart: Hart) { hart.x[Slot.temp] = RFlags.read(hart.x) }

  private static let names: [(String, Int)] = [
    ("r15", PtRegs.r15), ("r14", PtRegs.r14), ("r13", PtRegs.r13), ("r12", PtRegs.r12),
    ("bp", PtRegs.rbp), ("bx", PtRegs.rbx), ("r11", PtRegs.r11), ("r10", PtRegs.r10),
    ("r9", PtRegs.r9), ("r8", PtRegs.r8), ("ax", PtRegs.rax), ("cx", PtRegs.rcx),
    ("dx", PtRegs.rdx), ("si", PtRegs.rsi), ("di", PtRegs.rdi),
    ("orig_ax", PtRegs.originalRAX), ("ip", PtRegs.rip), ("cs", PtRegs.cs),
    ("flags", PtRegs.flags), ("sp", PtRegs.rsp), ("ss", PtRegs.ss),
  ]
  private static let offsets: [String: Int] = {
    var all = Dictionary(uniqueKeysWithValues: names)
    for (number, name) in Registers.names64.enumerated() { all[name] = PtRegs.general[number] }
    all["pc"] = PtRegs.rip
    all["rip"] = PtRegs.rip
    all["rflags"] = PtRegs.flags
    return all
  }()

  /// - SeeAlso: Linux, `arch/x86/kernel/ptrace.c`, `regoffset_table`
  public var registerNames: [String] { Self.names.map(\.0) }
  /// By Linux's names and by the manual's.
  public func registerOffset(_ name: String) -> Int? { Self.offsets[name] }
  /// By the numbers of the encodings.
  public func registerOffset(_ number: Int) -> Int? {
    PtRegs.general.indices.contains(number) ? PtRegs.general[number] : nil
  }

  /// - SeeAlso: System V ABI, AMD64 supplement, 'Parameter Passing'.
  private static let arguments = [
    PtRegs.rdi, PtRegs.rsi, PtRegs.rdx, PtRegs.rcx, PtRegs.r8, PtRegs.r9,
  ]
  /// rdi, rsi, rdx, rcx, r8, r9.
  public func argumentOffset(_ n: Int) -> Int? {
    Self.arguments.indices.contains(n) ? Self.arguments[n] : nil
  }
  /// From the seventh on they are above the return address.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/asm/ptrace.h`, `regs_get_kernel_argument`
  public func argumentWord(_ n: Int) -> Int? {
    n < Self.arguments.count ? nil : n - Self.arguments.count + 1
  }
  /// rax.
  public var returnValueOffset: Int { PtRegs.rax }

  /// The word that CALL pushed.
  public func returnAddress(_ frame: UnsafeRawPointer, load: (UInt64) -> UInt64?) -> UInt64? {
    load(self.load(frame, PtRegs.rsp))
  }
  /// The same; RET takes it off the stack.
  public func leaveFunction(
    _ frame: UnsafeMutableRawPointer, load: (UInt64) -> UInt64?
  ) -> UInt64? {
    guard let back = returnAddress(UnsafeRawPointer(frame), load: load) else { return nil }
    store(frame, PtRegs.rsp, self.load(frame, PtRegs.rsp) &+ 8)
    return back
  }
  /// The word that CALL pushed.
  public func setReturnAddress(
    _ frame: UnsafeMutableRawPointer, _ address: UInt64, store: (UInt64, UInt64) -> Bool
  ) -> Bool {
    store(load(frame, PtRegs.rsp), address)
  }

  /// RET has taken the word off the stack; so has no tail call.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/uprobes.c`, `arch_uretprobe_is_alive`
  public func isFrameAlive(then: UInt64, now: UInt64, _ when: FrameCheck) -> Bool {
    when == .call ? now < then : now <= then
  }

  /// rbp points at the caller's; the return address is above it.
  ///
  /// - SeeAlso: Linux, `arch/x86/include/asm/stacktrace.h`, `struct stack_frame`
  public var frameRecord: FrameRecord {
    FrameRecord(framePointer: PtRegs.rbp, returnAddress: 8, previous: 0)
  }
}
