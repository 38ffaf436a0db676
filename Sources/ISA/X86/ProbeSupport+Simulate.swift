import Engine

// Instructions that are done on a saved frame.

/// A jump, or an instruction that does nothing: the lift that the hart runs, on the frame's registers.
final class LiftedSimulation: InsnSimulation {
  private let insn: SimulatedInsn

  init(_ insn: SimulatedInsn) { self.insn = insn }

  func run(_ frame: UnsafeMutableRawPointer, _ memory: any ProbedMemory) -> Bool {
    let x = insn.slots
    for (number, offset) in PtRegs.general.enumerated() {
      x[Registers.gpr + number] = frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
    StatusFlags.set(x, frame.loadUnaligned(fromByteOffset: PtRegs.flags, as: UInt64.self))
    guard let pc = insn.run() else { return false }
    // LOOP counts; no other of them writes a register.
    frame.storeBytes(of: x[Int(Lift.rcx)], toByteOffset: PtRegs.rcx, as: UInt64.self)
    frame.storeBytes(of: pc, toByteOffset: PtRegs.rip, as: UInt64.self)
    return true
  }
}

/// An instruction that works on the stack or on IF: on the frame and the memory that it comes from.
///
/// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `kprobe_emulate_ifmodifiers`,
///   `kprobe_emulate_ret`, `kprobe_emulate_call`; `arch/x86/kernel/uprobes.c`, `branch_emulate_op`,
///   `push_emulate_op`
final class StackSimulation: InsnSimulation {
  private enum Work {
    case push(Int)
    case pushFlags(Int)
    case popFlags(Int)
    case call(UInt64)
    case callRegister(Int)
    case ret(UInt64)
    case interrupts(Bool)
  }
  private let work: Work
  private let next: UInt64

  /// - Returns: `nil` for other instructions.
  init?(_ insn: Insn, _ pc: UInt64) {
    next = pc &+ UInt64(insn.length)
    let size = insn.size == 2 ? 2 : 8
    switch insn.op {
    case .push: work = .push(PtRegs.general[Int(insn.opcodeRegister & 15)])
    case .pushf: work = .pushFlags(size)
    case .popf: work = .popFlags(size)
    case .call:
      work =
        insn.rmIsRegister
        ? .callRegister(PtRegs.general[Int(insn.rm & 15)])
        : .call(next &+ UInt64(bitPattern: insn.imm))
    case .ret: work = .ret(insn.opcode == 0xc2 ? UInt64(bitPattern: insn.imm) : 0)
    case .cli: work = .interrupts(false)
    case .sti: work = .interrupts(true)
    default: return nil
    }
  }

  func run(_ frame: UnsafeMutableRawPointer, _ memory: any ProbedMemory) -> Bool {
    func load(_ offset: Int) -> UInt64 {
      frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
    func store(_ offset: Int, _ value: UInt64) {
      frame.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    }
    let sp = load(PtRegs.rsp)
    func push(_ value: UInt64, _ size: Int = 8) -> Bool {
      let new = sp &- UInt64(size)
      guard memory.storeMemory(new, size, value) else { return false }
      store(PtRegs.rsp, new)
      return true
    }
    let flags = load(PtRegs.flags)
    var pc = next
    switch work {
    case .push(let offset): guard push(load(offset)) else { return false }
    case .pushFlags(let size):
      guard push(flags & ~RFlags.resume, size) else { return false }
    case .popFlags(let size):
      guard let value = memory.loadMemory(sp, size) else { return false }
      var writable = RFlags.userWritable | RFlags.ioPrivilege | RFlags.interrupt
      if size == 2 { writable &= 0xffff }
      store(PtRegs.flags, flags & ~writable & ~RFlags.resume | value & writable)
      store(PtRegs.rsp, sp &+ UInt64(size))
    case .call(let target):
      guard push(next) else { return false }
      pc = target
    case .callRegister(let offset):
      pc = load(offset)
      guard Self.isCanonical(pc), push(next) else { return false }
    case .ret(let more):
      guard let target = memory.loadMemory(sp, 8), Self.isCanonical(target) else { return false }
      store(PtRegs.rsp, sp &+ 8 &+ more)
      pc = target
    case .interrupts(let on):
      store(PtRegs.flags, on ? flags | RFlags.interrupt : flags & ~RFlags.interrupt)
    }
    store(PtRegs.rip, pc)
    return true
  }

  /// With four levels of tables, as the guest kernel has them.
  private static func isCanonical(_ va: UInt64) -> Bool {
    let top = Int64(bitPattern: va) >> 47
    return top == 0 || top == -1
  }
}
