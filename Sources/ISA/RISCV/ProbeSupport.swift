import Engine

/// What probes must know of RISC-V.
///
/// - SeeAlso: Linux, `arch/riscv/kernel/probes/`
public final class RISCVProbeISA: ProbeISA {
  private let simulator: InsnSimulator?
  private let hasCompressed: Bool

  /// The facts of harts with C, or without.
  public init(compressed: Bool = true) {
    hasCompressed = compressed
    simulator = InsnSimulator(isa: RV64(), tlbCount: RV64.tlbCount)
  }

  /// Compressed instructions have two bytes.
  public var insnAlignment: UInt64 { hasCompressed ? 2 : 4 }
  /// The others have four.
  public var maxInsnLength: Int { 4 }
  /// An instruction and a break of four bytes.
  public var kprobeSlotSize: Int { 8 }
  /// As Linux's `UPROBE_XOL_SLOT_BYTES` gives each.
  public var uprobeSlotSize: Int { 8 }

  // MARK: Instructions

  /// Told by the low two bits; four without C.
  public func length(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 2 else { return nil }
    let length = bytes[0] & 3 == 3 || !hasCompressed ? 4 : 2
    return bytes.count >= length ? length : nil
  }

  private func bits(_ bytes: [UInt8], _ length: Int) -> UInt32 {
    bytes.prefix(length).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// - SeeAlso: Linux, `arch/riscv/kernel/probes/decode-insn.c`, `riscv_probe_decode_insn`
  public func classify(_ bytes: [UInt8], _ text: ProbedText = .user) -> ProbedInsn? {
    guard let length = length(bytes) else { return nil }
    let own = Array(bytes.prefix(length))
    guard let row = Encodings.row(of: bits(own, length)), hasCompressed || own[0] & 3 == 3 else {
      return ProbedInsn(bytes: own, verdict: .refuse("not an instruction"))
    }
    let verdict: ProbeVerdict =
      switch row.probe {
      case .outOfLine: .outOfLine
      case .simulate: .simulate
      case .refuse: .refuse("\(row.mnemonic) can't be displaced")
      }
    return ProbedInsn(bytes: own, verdict: verdict)
  }

  /// By the lift that the hart runs.
  public func simulation(
    of bytes: [UInt8], at pc: UInt64, _ text: ProbedText = .user
  ) -> (any InsnSimulation)? {
    guard let length = length(bytes), let simulator,
      let insn = Decoder.decode(bits(bytes, length)),
      Encodings.row(of: bits(bytes, length))?.probe == .simulate
    else { return nil }
    return FrameSimulation(
      simulator.prepare(pc: pc, length: UInt64(length)) {
        Lift(builder: $0, fpState: 0).lift(insn)
      }, alignment: insnAlignment)
  }

  /// As ``Disassembler`` says.
  public func disassemble(_ bytes: [UInt8], at pc: UInt64) -> String {
    guard let length = length(bytes) else { return "" }
    let bits = bits(bytes, length)
    guard let insn = Decoder.decode(bits) else { return ".insn 0x" + String(bits, radix: 16) }
    return Disassembler.text(insn, pc: pc)
  }

  /// `lr` and `sc`.
  public func exclusiveAccess(_ bytes: [UInt8]) -> ExclusiveAccess? {
    guard let length = length(bytes), let row = Encodings.row(of: bits(bytes, length)),
      row.traits.contains(.exclusive)
    else { return nil }
    return row.traits.contains(.load) ? .load : .store
  }

  /// - SeeAlso: RISC-V Unprivileged ISA Manual, "Eventual Success of Store-Conditional
  ///   Instructions": a constrained loop has at most 16 instructions.
  public var exclusiveReach: Int { 16 }

  // MARK: Breaks and slots

  private static let shortBreak: [UInt8] = [0x02, 0x90]
  private static let longBreak: [UInt8] = [0x73, 0x00, 0x10, 0x00]

  /// - SeeAlso: Linux, `arch/riscv/kernel/probes/kprobes.c`, `arch_arm_kprobe`;
  ///   `arch/riscv/include/asm/uprobes.h`, `UPROBE_SWBP_INSN`
  public func breakpoint(_ role: BreakRole, over length: Int) -> [UInt8] {
    switch role {
    case .kprobe: length == 2 ? Self.shortBreak : Self.longBreak
    case .uprobe, .uretprobe: hasCompressed ? Self.shortBreak : Self.longBreak
    case .kprobeStep, .uprobeStep, .kretprobe: Self.longBreak
    }
  }

  /// `ebreak` or `c.ebreak`.
  public func isBreakpoint(_ bytes: [UInt8]) -> Bool {
    bytes.starts(with: Self.shortBreak) || bytes.starts(with: Self.longBreak)
  }

  /// Cause 3, of the privileged manual.
  public func isBreak(cause: UInt64) -> Bool { cause == 3 }
  /// `sepc` is the break's own address.
  public var breakTrapOffset: UInt64 { 0 }

  /// The break behind it is the long one whatever stands before it.
  public func slotImage(_ insn: ProbedInsn) -> [UInt8] { insn.bytes + Self.longBreak }
  /// The same: what depends on its address is simulated.
  public func slotImage(_ insn: ProbedInsn, at va: UInt64, slot: UInt64) -> [UInt8]? {
    slotImage(insn)
  }

  // MARK: The frame

  private func load(_ frame: UnsafeRawPointer, _ offset: Int) -> UInt64 {
    frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }

  private func setPC(_ frame: UnsafeMutableRawPointer, _ pc: UInt64) {
    frame.storeBytes(of: pc, toByteOffset: PtRegs.epc, as: UInt64.self)
  }

  /// In the kernel, interrupts are masked.
  ///
  /// - SeeAlso: Linux, `arch/riscv/kernel/probes/kprobes.c`, `kprobes_save_local_irqflag`
  public func enterSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy
  ) -> SlotState {
    setPC(frame, copy.slot)
    guard copy.text == .kernel else { return SlotState() }
    let status = load(frame, PtRegs.status)
    frame.storeBytes(of: status & ~Status.spie, toByteOffset: PtRegs.status, as: UInt64.self)
    return SlotState(status: status & Status.spie)
  }

  /// No instruction that runs in a slot goes elsewhere than behind it.
  public func leaveSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy, _ state: SlotState,
    _ memory: any ProbedMemory
  ) -> SlotExit {
    setPC(frame, copy.va &+ UInt64(copy.insn.length))
    abandonSlot(frame, copy, state)
    return .done
  }

  /// Puts `SPIE` back.
  public func abandonSlot(
    _ frame: UnsafeMutableRawPointer, _ copy: borrowing SlotCopy, _ state: SlotState
  ) {
    if copy.text == .kernel { unmaskInterrupts(frame, state) }
  }

  /// Puts `SPIE` back.
  public func unmaskInterrupts(_ frame: UnsafeMutableRawPointer, _ state: SlotState) {
    let status = load(frame, PtRegs.status) & ~Status.spie
    frame.storeBytes(of: status | state.status, toByteOffset: PtRegs.status, as: UInt64.self)
  }

  /// `sstatus.SPP`.
  public func isUser(_ frame: UnsafeRawPointer) -> Bool {
    load(frame, PtRegs.status) & Status.spp == 0
  }

  /// `sret`.
  public func isTrapReturn(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x73, 0, 0x20, 0x10]) }

  /// The integer and floating-point registers; of the kernel the integer ones, and what of `sstatus`
  /// a trap leaves alone.
  public func stateSlots(ofKernel: Bool) -> [StateSlot] {
    let x = (1..<32).map { StateSlot(Registers.xNames[$0], slot: $0) }
    if ofKernel {
      let mask = Status.sie | Status.sum | Status.mxr | Status.fs
      return x + [
        StateSlot("sstatus", slot: SystemSlot.mstatus, mask: mask),
        StateSlot("satp", slot: SystemSlot.satp),
      ]
    }
    let f = (0..<32).map { StateSlot(Registers.fNames[$0], slot: Slot.fp + $0) }
    return x + f + [
      StateSlot("fflags", slot: Slot.fpFlags), StateSlot("frm", slot: Slot.fpRounding),
    ]
  }

  /// `epc`, then x1 to x31 by their ABI names, then what is behind them.
  public var registerNames: [String] {
    ["epc"] + Registers.xNames.dropFirst() + ["status", "badaddr", "cause", "orig_a0"]
  }

  /// - SeeAlso: Linux, `arch/riscv/kernel/ptrace.c`, `regoffset_table`
  public func registerOffset(_ name: String) -> Int? {
    switch name {
    case "epc", "pc": PtRegs.epc
    case "status": PtRegs.status
    case "badaddr": PtRegs.badaddr
    case "cause": PtRegs.cause
    case "orig_a0": PtRegs.originalA0
    default: Registers.x(named: name).flatMap { registerOffset(Int($0)) }
    }
  }

  /// x1 to x31.
  public func registerOffset(_ number: Int) -> Int? {
    (1..<32).contains(number) ? PtRegs.x(number) : nil
  }

  /// a0 to a7.
  public func argumentOffset(_ n: Int) -> Int? {
    (0..<8).contains(n) ? PtRegs.x(10 + n) : nil
  }

  /// a0.
  public var returnValueOffset: Int { PtRegs.x(10) }

  /// ra.
  public func returnAddress(_ frame: UnsafeRawPointer, load: (UInt64) -> UInt64?) -> UInt64? {
    self.load(frame, PtRegs.x(1))
  }

  /// ra.
  public func setReturnAddress(
    _ frame: UnsafeMutableRawPointer, _ address: UInt64, store: (UInt64, UInt64) -> Bool
  ) -> Bool {
    frame.storeBytes(of: address, toByteOffset: PtRegs.x(1), as: UInt64.self)
    return true
  }

  /// - SeeAlso: Linux, `arch/riscv/kernel/probes/uprobes.c`, `arch_uretprobe_is_alive`
  public func isFrameAlive(then: UInt64, now: UInt64, _ when: FrameCheck) -> Bool {
    when == .chainCall ? now <= then : now < then
  }

  /// s0 points behind the record.
  ///
  /// - SeeAlso: Linux, `arch/riscv/include/asm/stacktrace.h`, `struct stackframe`; RISC-V ABIs Specification, 'Frame Pointer Convention'
  public var frameRecord: FrameRecord {
    FrameRecord(framePointer: PtRegs.x(8), returnAddress: -8, previous: -16)
  }
}

/// An instruction run on the registers of a `struct pt_regs`.
private final class FrameSimulation: InsnSimulation {
  private let insn: SimulatedInsn
  /// What a target must be a multiple of.
  private let alignment: UInt64

  init(_ insn: SimulatedInsn, alignment: UInt64) {
    self.insn = insn
    self.alignment = alignment
  }

  func run(_ frame: UnsafeMutableRawPointer, _ memory: any ProbedMemory) -> Bool {
    // pc, then x1 to x31, in the order of the slots.
    let x = UnsafeMutableRawPointer(insn.slots + 1)
    x.copyMemory(from: frame + PtRegs.x(1), byteCount: 31 * 8)
    guard let pc = insn.run(), pc % alignment == 0 else { return false }
    (frame + PtRegs.x(1)).copyMemory(from: x, byteCount: 31 * 8)
    frame.storeBytes(of: pc, toByteOffset: PtRegs.epc, as: UInt64.self)
    return true
  }
}
