import Engine
import GuestKernel
import Probes

/// Writes down what programs, and if wanted the kernel, do on one machine; trap handling that serves
/// probes, and copies of instructions in their slots, are left out.
///
/// Time on a watched machine is the programs' completed instructions, so that it passes alike with
/// and without probes; the timer fires between two of them.
final class RetireWatch: InsnObserver {
  let log: RetireLog
  /// Instructions of programs that were completed.
  private(set) var completed: UInt64 = 0
  /// The limit was reached: nothing more is written down.
  private(set) var isAtLimit = false
  /// Tasks whose instructions were seen.
  private(set) var tasks: Set<Int32> = []
  /// The one of ``tasks`` that was seen last.
  private var seen: Int32 = -1

  // The machine outlives its watch, which its hart keeps; and counted references to it would cost
  // more than the rest.
  private unowned(unsafe) let machine: ProgramMachine
  private unowned(unsafe) let kernel: Kernel
  private unowned(unsafe) let probes: ProbeSubsystem?
  private let guest: any ProgramISA
  private let watchesKernel: Bool
  private let limit: UInt64
  private let isa: any ProbeISA
  private let userEnd: UInt64

  /// What a task did last.
  private struct Last {
    /// Where, be it in a slot.
    var pc: UInt64
    /// Exceptions until then that no probe made.
    var exceptions: UInt64
  }
  private var last: [Int32: Last] = [:]
  /// That of the task whose instruction was seen last is here and not in ``last``.
  private var latest = Last(pc: 0, exceptions: 0)
  private var latestTask: Int32?
  /// An instruction of a program has begun and is not known to be complete.
  private var isUnderWay = false
  /// The store of the last instruction, which may yet fault.
  private var store: Store?
  private struct Store {
    var va: UInt64
    var size: Int
    var task: Int32
    var space: AddressSpace?
  }
  /// Where copies run in the present address space, and which that is.
  private var slots: Range<UInt64> = 0..<0
  private var slotsOwner: ObjectIdentifier?
  private var slotsExceptions: UInt64 = .max
  private let kernelSlots: Range<UInt64>
  /// How deep the hart is in trap handling that serves a probe of the kernel.
  private var depth = 0
  private var lastExceptions: UInt64 = 0

  /// Watches `machine` from now on.
  ///
  /// - Parameters:
  ///   - machine: what to watch.
  ///   - probes: those that it has.
  ///   - isa: what must be known of its instruction set.
  ///   - watchesKernel: the kernel's instructions are written down too; then programs have no probes.
  ///   - limit: how many of the programs' instructions are written down at most.
  init(
    _ machine: ProgramMachine, probes: ProbeSubsystem?, isa: any ProbeISA, watchesKernel: Bool,
    limit: UInt64
  ) {
    self.machine = machine
    kernel = machine.kernel
    guest = machine.isa
    self.probes = probes
    self.isa = isa
    self.watchesKernel = watchesKernel
    self.limit = limit
    userEnd = kernel.isa.userEnd
    kernelSlots = probes?.kernelSlots ?? 0..<0
    log = RetireLog(
      userState: isa.stateSlots(ofKernel: false),
      kernelState: watchesKernel ? isa.stateSlots(ofKernel: true) : [])
    probes?.simulatedStore = { [unowned self] in
      if !isAtLimit, watchesKernel || $0 < userEnd { storeBegins($0, $1) }
    }
    machine.programTime = { [unowned self] in completed }
    machine.hart.observe(self, modes: watchesKernel ? .max : machine.isa.userModes)
  }

  func willExecute(_ pc: UInt64, on hart: Hart) {
    if guest.isUser(hart) {
      userInsn(pc, hart)
    } else {
      settle()
      guest.setTimeOffset(completed &+ machine.skipped &- hart.count, hart)
      kernelInsn(pc, hart)
    }
  }

  func willAccess(_ va: UInt64, size: Int, isStore: Bool, on hart: Hart) {
    guard isStore, depth == 0, !isAtLimit else { return }
    storeBegins(va, size)
  }

  private func storeBegins(_ va: UInt64, _ size: Int) {
    settle()
    let current = kernel.current
    store = Store(va: va, size: size, task: current?.tid ?? 0, space: current?.space)
  }

  // MARK: Instructions

  private func userInsn(_ pc: UInt64, _ hart: Hart) {
    let current = kernel.current
    let task = current?.tid ?? 0
    let exceptions = hart.x[Slot.exceptions]
    lastExceptions = exceptions
    let foreign = exceptions &- (probes?.breaksTaken ?? 0)
    var before: Last?
    if task == latestTask {
      before = latest
    } else {
      if let latestTask { last[latestTask] = latest }
      before = last[task]
      latestTask = task
    }
    latest = Last(pc: pc, exceptions: foreign)
    if let before, before.pc == pc, before.exceptions != foreign {
      // It faulted and begins once more: what it stored then is not in memory.
      store = nil
      guest.setTimeOffset(completed &+ machine.skipped &- hart.count, hart)
      return
    }
    settle()
    if isSlot(pc, current?.space, exceptions) {
      guest.setTimeOffset(completed &+ machine.skipped &- hart.count, hart)
      return
    }
    if isUnderWay {
      completed &+= 1
      isUnderWay = false
    }
    if machine.isTimerDue {
      machine.fireTimer()
      // Taken before this instruction, which will be seen again.
      if hart.x[Slot.pending] != 0 {
        last[task] = nil
        latestTask = nil
        return
      }
    }
    guest.setTimeOffset(completed &+ machine.skipped &- hart.count, hart)
    if completed >= limit { isAtLimit = true }
    guard !isAtLimit else { return }
    isUnderWay = true
    if task != seen {
      seen = task
      tasks.insert(task)
    }
    isa.showState(hart)
    log.appendInsn(.init(kind: .insn, task: task, address: pc), hart)
  }

  private func kernelInsn(_ pc: UInt64, _ hart: Hart) {
    let exceptions = hart.x[Slot.exceptions]
    if exceptions != lastExceptions {
      lastExceptions = exceptions
      let (cause, from) = guest.lastTrap(hart)
      let servesProbe =
        isa.isBreak(cause: cause)
        && probes?.ownsBreak(at: from &- isa.breakTrapOffset, kernel.current) ?? false
      if depth > 0 || servesProbe { depth += 1 }
    }
    if depth > 0 {
      if isa.isTrapReturn(bytes(pc, hart)) { depth -= 1 }
      return
    }
    if kernelSlots.contains(pc) || isAtLimit { return }
    let task = kernel.current?.tid ?? 0
    isa.showState(hart)
    log.appendInsn(.init(kind: .kernelInsn, task: task, address: pc), hart)
  }

  /// Whether a program's copy of an instruction, or the break behind one, is at `pc`.
  private func isSlot(_ pc: UInt64, _ space: AddressSpace?, _ exceptions: UInt64) -> Bool {
    guard let probes, let space else { return false }
    // The area may be made in any trap.
    if slotsExceptions != exceptions || slotsOwner != ObjectIdentifier(space) {
      slotsOwner = ObjectIdentifier(space)
      slotsExceptions = exceptions
      slots = probes.slots(in: space) ?? 0..<0
    }
    return slots.contains(pc)
  }

  private func bytes(_ pc: UInt64, _ hart: Hart) -> [UInt8] {
    let halves = [hart.insnHalf(pc), hart.insnHalf(pc &+ 2)]
    return halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  // MARK: Stores

  /// The last instruction did not fault and begin once more: writes down what it stored.
  private func settle() {
    guard let made = store else { return }
    store = nil
    log.appendStore(
      .init(
        kind: .store, size: UInt8(truncatingIfNeeded: made.size), task: made.task,
        address: made.va, value: memory(made)))
  }

  /// The bytes at an address, without asking for a page; those that are not there are zero.
  private func memory(_ made: Store) -> UInt64 {
    var value: UInt64 = 0
    if made.va & 4095 <= 4096 &- UInt64(made.size) {
      guard let pa = physical(made.va, made.space) else { return 0 }
      for index in (0..<UInt64(made.size)).reversed() {
        value = value << 8 | UInt64(kernel.ram.load(pa &+ index, as: UInt8.self) ?? 0)
      }
      return value
    }
    for index in (0..<UInt64(made.size)).reversed() {
      let at = made.va &+ index
      let pa = physical(at, made.space)
      value = value << 8
      if let pa { value |= UInt64(kernel.ram.load(pa, as: UInt8.self) ?? 0) }
    }
    return value
  }
  private func physical(_ va: UInt64, _ space: AddressSpace?) -> UInt64? {
    va < userEnd ? space?.physical(va) : kernel.kernelAddress(va, 1)
  }
}
