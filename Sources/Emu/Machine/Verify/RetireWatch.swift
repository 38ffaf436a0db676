import Engine
import GuestKernel
import Probes
import RISCV

/// Writes down what a program, and if wanted the kernel, does on one machine; trap handling that
/// serves probes, and copies of instructions in their slots, are left out.
///
/// Time on a watched machine is the program's completed instructions, so that it passes alike with
/// and without probes; the timer fires between two of them.
final class RetireWatch: InsnObserver {
  let machine: ProgramMachine
  let log: RetireLog
  /// Instructions of programs that were completed.
  private(set) var completed: UInt64 = 0
  /// Tasks whose instructions were seen.
  private(set) var tasks: Set<Int32> = []
  private let probes: ProbeSubsystem?
  private let watchesKernel: Bool
  private let isa: any ProbeISA
  private let kernelState: [StateSlot]

  /// An instruction of a program has begun and is not known to be complete.
  private var isUnderWay = false
  private var lastPC: UInt64 = 0
  private var lastExceptions: UInt64 = 0
  /// Stores of the last instruction, which may yet fault.
  private var stores: [(va: UInt64, size: Int)] = []
  /// Instructions that faulted, by task: beginning once more is no second instruction.
  private var retries: [Int32: [UInt64]] = [:]
  private var kernelRetries: [Int32: [UInt64]] = [:]
  /// Where copies run in the present address space, and which that is.
  private var slots: Range<UInt64> = 0..<0
  private var slotsOwner: ObjectIdentifier?
  private let kernelSlots: Range<UInt64>
  /// How deep the hart is in trap handling that serves a probe.
  private var depth = 0

  /// Watches `machine` from now on.
  ///
  /// - Parameters:
  ///   - machine: what to watch.
  ///   - probes: those that it has.
  ///   - isa: what must be known of its instruction set.
  ///   - watchesKernel: the kernel's instructions are written down too.
  init(
    _ machine: ProgramMachine, probes: ProbeSubsystem?, isa: any ProbeISA, watchesKernel: Bool
  ) {
    self.machine = machine
    self.probes = probes
    self.isa = isa
    self.watchesKernel = watchesKernel
    kernelState = watchesKernel ? isa.stateSlots(ofKernel: true) : []
    kernelSlots = probes?.kernelSlots ?? 0..<0
    log = RetireLog(userState: isa.stateSlots(ofKernel: false), kernelState: kernelState)
    machine.programTime = { [unowned self] in completed }
    machine.hart.observe(self)
  }

  private var task: Int32 { machine.kernel.current?.tid ?? 0 }

  func willExecute(_ pc: UInt64, on hart: Hart) {
    let isKernel = machine.isa.privilege(hart) != 0
    let exceptions = hart.x[Slot.exceptions]
    if exceptions == lastExceptions {
      settle()
    } else {
      lastExceptions = exceptions
      trapped(hart)
    }
    machine.isa.setTimeOffset(completed &+ machine.skipped &- hart.count, hart)
    if isKernel {
      kernelInsn(pc, hart)
    } else {
      userInsn(pc, hart)
    }
  }

  func willAccess(_ va: UInt64, size: Int, isStore: Bool, on hart: Hart) {
    guard isStore, depth == 0, watchesKernel || machine.isa.privilege(hart) == 0 else { return }
    stores.append((va, size))
  }

  // MARK: Instructions

  private func userInsn(_ pc: UInt64, _ hart: Hart) {
    let task = task
    if isSlot(pc) {
      lastPC = pc
      return
    }
    if retries[task]?.contains(pc) ?? false {
      retries[task] = nil
      lastPC = pc
      return
    }
    if isUnderWay {
      completed &+= 1
      isUnderWay = false
    }
    if machine.isTimerDue {
      machine.fireTimer()
      // Taken before this instruction, which will be seen again.
      if hart.x[Slot.pending] != 0 { return }
    }
    retries[task] = nil
    isUnderWay = true
    lastPC = pc
    tasks.insert(task)
    log.appendInsn(
      .init(kind: .insn, task: task, address: pc), hart, log.userState)
  }

  private func kernelInsn(_ pc: UInt64, _ hart: Hart) {
    guard watchesKernel else {
      lastPC = pc
      return
    }
    defer { lastPC = pc }
    if depth > 0 {
      if isa.isTrapReturn(bytes(pc, hart)) { depth -= 1 }
      return
    }
    if kernelSlots.contains(pc) { return }
    let task = task
    if let index = kernelRetries[task]?.firstIndex(of: pc) {
      kernelRetries[task]?.remove(at: index)
      return
    }
    log.appendInsn(
      .init(kind: .kernelInsn, task: task, address: pc), hart, kernelState)
  }

  /// Whether a program's copy of an instruction, or the break behind one, is at `pc`.
  private func isSlot(_ pc: UInt64) -> Bool {
    guard let probes, let space = machine.kernel.current?.space else { return false }
    if slotsOwner != ObjectIdentifier(space) {
      slotsOwner = ObjectIdentifier(space)
      slots = probes.slots(in: space) ?? 0..<0
    }
    return slots.contains(pc)
  }

  private func bytes(_ pc: UInt64, _ hart: Hart) -> [UInt8] {
    let halves = [hart.insnHalf(pc), hart.insnHalf(pc &+ 2)]
    return halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  // MARK: What became of the last one

  /// An exception was taken since the last instruction began: by it, or by the fetch of the next.
  private func trapped(_ hart: Hart) {
    // The area may be made in any trap.
    slotsOwner = nil
    let (cause, pc) = machine.isa.lastTrap(hart)
    let isBreak = isa.isBreak(cause: cause)
    let isFault = pc == lastPC && !isBreak && !machine.isa.isEnvironmentCall(cause: cause)
    if isFault {
      stores.removeAll()
      note(pc)
    } else {
      settle()
    }
    guard watchesKernel else { return }
    if depth > 0 || (isBreak && servesProbe(pc)) { depth += 1 }
  }

  /// Notes that the instruction at `pc` may begin once more.
  private func note(_ pc: UInt64) {
    let task = task
    let isOfUser = pc < machine.kernel.isa.userEnd
    // The copy in a slot is run again, not the instruction.
    if isOfUser ? isSlot(pc) : kernelSlots.contains(pc) { return }
    if isOfUser {
      retries[task] = [pc]
    } else if watchesKernel, depth == 0 {
      kernelRetries[task, default: []].append(pc)
    }
  }

  private func servesProbe(_ pc: UInt64) -> Bool {
    guard let probes else { return false }
    return probes.ownsBreak(at: pc, machine.kernel.current)
  }

  /// The last instruction was not undone: its stores are in memory.
  private func settle() {
    guard !stores.isEmpty else { return }
    for (va, size) in stores {
      log.appendStore(
        .init(
          kind: .store, size: UInt8(truncatingIfNeeded: size), task: task, address: va,
          value: memory(va, size)))
    }
    stores.removeAll(keepingCapacity: true)
  }

  /// The bytes at an address, without asking for a page; those that are not there are zero.
  private func memory(_ va: UInt64, _ size: Int) -> UInt64 {
    var value: UInt64 = 0
    let kernel = machine.kernel
    for index in (0..<UInt64(size)).reversed() {
      let at = va &+ index
      let pa =
        at < kernel.isa.userEnd ? kernel.current?.space?.physical(at) : kernel.kernelAddress(at, 1)
      value = value << 8
      if let pa { value |= UInt64(kernel.ram.load(pa, as: UInt8.self) ?? 0) }
    }
    return value
  }
}
