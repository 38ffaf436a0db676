import Engine
import RISCV

extension VirtBoard: HartEnvironment {
  /// Serves an environment call.
  func call(from hart: Hart) {
    let x = hart.x
    guard let firmware else { return }
    let result = firmware.call(
      extension: x[17], function: x[16], args: (10...15).map { x[$0] }, hart: hart.index)
    if let a0 = result.a0 { x[10] = a0 }
    if let a1 = result.a1 { x[11] = a1 }
    // Whatever the call did to timers, harts or the machine is looked at before the next slice.
    hart.requestStop()
  }
}

extension VirtBoard: SBIHost {
  /// RAM.
  var ram: PhysicalMemory { machine.ram }
  /// How many harts there are.
  var hartCount: Int { machine.harts.count }

  /// Sets a hart's own timer.
  func setTimer(_ time: UInt64, hart: Int) { isas[hart].setTimerCompare(time, machine.harts[hart]) }

  /// Raises a hart's software interrupt.
  func sendIPI(to hart: Int) { isas[hart].setPending(1 << 1, true, machine.harts[hart]) }

  /// Takes a software interrupt back, and says whether there was one.
  func clearIPI(hart: Int) -> Bool {
    let was = (isas[hart].register("mip", machine.harts[hart]) ?? 0) & 2 != 0
    isas[hart].setPending(1 << 1, false, machine.harts[hart])
    return was
  }

  /// Makes a hart's instruction fetch see stores.
  func remoteFenceI(on hart: Int) { machine.harts[hart].synchronizeInstructionFetch() }

  /// Makes a hart forget translations.
  func remoteSFence(_ fence: SBIFence, on hart: Int) {
    guard let range = fence.range, range.size <= 64 << 12 else {
      isas[hart].fence(va: nil, asid: fence.asid, machine.harts[hart])
      return
    }
    var va = range.start & ~4095
    let last = (range.start &+ max(range.size, 1) &- 1) & ~4095
    while true {
      isas[hart].fence(va: va, asid: fence.asid, machine.harts[hart])
      if va == last { break }
      va &+= 4096
    }
  }

  /// What a hart is doing.
  func state(of hart: Int) -> SBIHartState { machine.states[hart] }

  /// Starts a stopped hart.
  func start(hart: Int, address: UInt64, opaque: UInt64) {
    let target = machine.harts[hart]
    isas[hart].enterSupervisor(target, pc: address)
    target.x[10] = UInt64(hart)
    target.x[11] = opaque
    target.environment = self
    machine.states[hart] = .started
    machine.waiting[hart] = false
  }

  /// Stops a hart.
  func stop(hart: Int) { machine.states[hart] = .stopped }

  /// Has a hart wait for an interrupt and go on.
  func suspend(hart: Int) { machine.states[hart] = .suspended }

  /// Has a hart wait for an interrupt and start anew.
  func suspend(hart: Int, resumeAt address: UInt64, opaque: UInt64) {
    machine.states[hart] = .suspended
    machine.resumeAt[hart] = (address, opaque)
  }

  /// Ends the machine or starts it anew.
  func reset(_ kind: SBIReset, systemFailure: Bool) {
    machine.end(kind == .shutdown ? .finished(status: systemFailure ? 1 : 0) : .reset)
  }

  /// Prints bytes.
  func consoleWrite(_ bytes: [UInt8]) { machine.console.write(bytes, stream: 1) }

  /// A byte that was typed.
  func consoleRead() -> UInt8? { machine.console.next() }

  /// Reads memory as the hart sees it; `nil` with the exception taken where that faults.
  func loadVirtual(_ va: UInt64, hart: Int) -> UInt64? {
    let target = machine.harts[hart]
    let value = target.load(va, 8)
    guard target.x[Slot.pending] == Pending.exception.rawValue else { return value }
    // The call as a whole faults: it is to be repeated.
    target.x[Slot.pc] &-= 4
    target.takePendingException()
    return nil
  }
}
