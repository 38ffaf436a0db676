import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// What may happen while a displaced instruction runs in its slot.
@Suite struct UserStepTests {
  private let usr1: Int32 = 10

  @Test(
    "U15 two threads that hit for the first time at once each get their own step", arguments: guests
  )
  func firstHitRace(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, UInt64, [Int]) {
      let scene = try Scene(guest, "T2", legacy)
      let probe = try scene.probe("xorfn") { context in
        context.yield()
        return .continue
      }
      return (scene.run(), probe.hits, scene.values)
    }
    let plain = try Scene(guest, "T2")
    plain.run()
    let wrong = try run(.oneSlotEndPerProbe)
    #expect(wrong.0 == .ended(.killed(Signal.SIGTRAP)))
    let right = try run([])
    #expect(right == (.ended(.exited(0)), 40, plain.values))
  }

  @Test("U49 a signal that comes during the step waits for its end", arguments: guests)
  func signalDuringTheStep(guest: ProgramArchitecture) throws {
    // What the handler saw as the interrupted pc, relative to the probed instruction.
    func run(_ legacy: LegacyPolicies) throws -> [Int] {
      let scene = try Scene(guest, "S10a0li", legacy)
      let signal = usr1
      try scene.probe("loadfn") { context in
        context.raise(signal)
        return .continue
      }
      #expect(scene.run() == .ended(.exited(0)))
      return scene.values
    }
    let wrong = try run(.slotsAreVisible)
    #expect(wrong.count == 5 && wrong[0] == 42 && wrong[1] == 1)
    #expect(wrong[3] > 1 << 30)
    #expect(try run([]) == [42, 1, Int(usr1), 4, 0x80])
  }

  @Test(
    "U49 a fault during the step is the program's, at the probed instruction", arguments: guests)
  func faultDuringTheStep(guest: ProgramArchitecture) throws {
    func run(
      _ legacy: LegacyPolicies
    ) throws -> (exit: ProgramExit, hits: UInt64, values: [Int]) {
      let scene = try Scene(guest, "S11a3liI", legacy)
      let probe = try scene.probe("loadfn")
      return (scene.run(1_000_000), probe.hits, scene.values)
    }
    // SIGSEGV, SEGV_MAPERR, pc, si_addr; the handler goes on behind the load.
    let right = try run([])
    #expect(right == (.ended(.exited(0)), 1, [9, 1, Int(Signal.SIGSEGV), 0, 1, 8]))
    let wrong = try run(.slotsAreVisible)
    if GuestFacts.of(guest).slotEnd.isEmpty {
      // What is behind the copy in the slot faults again, and again.
      #expect(wrong.exit == .limit && wrong.values == [])
    } else {
      #expect(wrong.values.count == 6 && wrong.values[3] > 1 << 30)
    }
  }

  @Test(
    "U49 a page fault during the step that is served has the handler run once", arguments: guests)
  func pageFaultDuringTheStep(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "a1ls5l")
    let load = try scene.probe("loadfn")
    let store = try scene.probe("storefn")
    scene.finish([1, 6])
    #expect(load.hits == 2 && store.hits == 1)
  }

  @Test("U49 copy-on-write during the step: the store goes to the copy, once", arguments: guests)
  func copyOnWriteDuringTheStep(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "a0s5Fs7l.l")
    let store = try scene.probe("storefn")
    scene.finish([8, 0, 6])
    #expect(store.hits == 2)
  }

  @Test("U49 preemption during the step: the task goes on where it was", arguments: guests)
  func preemptionDuringTheStep(guest: ProgramArchitecture) throws {
    let plain = try Scene(guest, "T8")
    plain.run()
    let scene = try Scene(guest, "T8")
    let probe = try scene.probe("xorfn") { context in
      context.yield()
      return .continue
    }
    scene.finish(plain.values)
    #expect(probe.hits == 160)
    #expect(scene.kernel.statistics.contextSwitches > 160)
  }

  @Test("U50 a break of the program's own stays its own beside probes", arguments: guests)
  func ownBreak(guest: ProgramArchitecture) throws {
    // The guest kernel has no ptrace: a debugger's step can't meet a probe. Its break can.
    let scene = try Scene(guest, "tS5Bbx1")
    let probe = try scene.probe("xorfn")
    scene.finish([-Int(Errno.ENOSYS.rawValue)] + scene.facts.ownBreak.besideProbes + [84])
    #expect(probe.hits == 1)
  }

  @Test(
    "M02 the step ends behind the copy: at a break, which is always the long one, or by TF",
    arguments: guests)
  func stepEnd(guest: ProgramArchitecture) throws {
    for (symbol, steps, length) in [
      ("xorfn", "x1", 4), ("shortfn", "h1", GuestFacts.of(guest).shortLength),
    ] {
      let scene = try Scene(guest, steps)
      try scene.probe(symbol)
      let va = try scene.address(symbol)
      try scene.run(until: { scene.area?.contains($0) == true })
      let slot = scene.rig.machine.hart.pc
      let area = try #require(scene.area)
      #expect(slot != area.lowerBound)
      let offset = try Int(scene.rig.offset(symbol))
      #expect(
        scene.text(slot, length + scene.facts.slotEnd.count)
          == Array(scene.rig.elf[offset..<(offset + length)]) + scene.facts.slotEnd)
      // One step and the hart is at the end; the trap there leads behind the probed instruction.
      scene.step()
      let pc = scene.rig.machine.hart.pc
      #expect(scene.facts.slotEnd.isEmpty ? pc > 1 << 63 : pc == slot &+ UInt64(length))
      try scene.run(until: { $0 == va &+ UInt64(length) })
      #expect(scene.run() == .ended(.exited(0)))
    }
  }

  @Test("M03 an instruction that is tried again after a signal is hit again", arguments: guests)
  func restart(guest: ProgramArchitecture) throws {
    // The handler maps the page and returns to the instruction.
    let scene = try Scene(guest, "XS11a2li")
    let probe = try scene.probe("loadfn")
    scene.finish([1, 1, Int(Signal.SIGSEGV), 0, 1])
    #expect(probe.hits == 2)
  }

  @Test(
    "M10 signals wait for the slot: the handler's pc is the next instruction's, every time",
    arguments: guests)
  func signalsAreDeferred(guest: ProgramArchitecture) throws {
    // A signal at each of 100 hits; each handler returns to right behind the instruction.
    let scene = try Scene(guest, "S10n1i")
    let signal = usr1
    let probe = try scene.probe("xorfn") { context in
      context.raise(signal)
      return .continue
    }
    let plain = try Scene(guest, "n1")
    plain.run()
    #expect(scene.run() == .ended(.exited(0)))
    let pc = Int(try scene.address("xorfn")) + 4 - Int(try scene.address("loadfn"))
    #expect(scene.values == plain.values + [100, Int(usr1), pc, 0x80])
    #expect(probe.hits == 100)
  }

  @Test("M10 a fatal signal does not wait: the slot is left, and is free again", arguments: guests)
  func fatalSignal(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "Fx1.x2")
    scene.probes.uprobes.slotCount = 2
    var isFirst = true
    let probe = try scene.probe("xorfn") { context in
      if isFirst { context.raise(Signal.SIGKILL) }
      isFirst = false
      return .continue
    }
    scene.finish([Int(Signal.SIGKILL), 87])
    #expect(probe.hits == 2)
  }

  @Test(
    "M10 a signal without a handler ends the program after the step, not before", arguments: guests)
  func defaultSignal(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "a0s5l")
    try scene.probe("storefn") { context in
      context.raise(Signal.SIGTERM)
      return .continue
    }
    #expect(scene.run() == .ended(.killed(Signal.SIGTERM)))
    // What was reported as its pc is the program's, not the slot's.
    let pc = try #require(scene.kernel.fatalSignal).pc
    #expect(pc == (try scene.address("storefn")) + 4)
  }

  @Test(
    "M10 a program that dies of its instruction in the slot dies at the instruction",
    arguments: guests)
  func fatalFault(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "a3l")
    let probe = try scene.probe("loadfn")
    #expect(scene.run() == .ended(.killed(Signal.SIGSEGV)))
    #expect(scene.kernel.fatalSignal?.pc == (try scene.address("loadfn")))
    #expect(scene.kernel.fatalSignal?.address == 8)
    #expect(probe.hits == 1)
  }

  @Test("M10 another thread ends the process while this one is in its slot", arguments: guests)
  func exitInTheSlot(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "K0x1x2")
    let probe = try scene.probe("xorfn") { context in
      context.yield()
      return .continue
    }
    #expect(scene.run() == .ended(.exited(7)))
    // At the second hit its turn to exit had come.
    #expect(probe.hits == 2 && scene.values == [84])
  }

  @Test(
    "tasks wait for a slot where all are taken, and nobody waits for ever", arguments: [2, 3, 5],
    guests)
  func waiters(slots: Int, guest: ProgramArchitecture) throws {
    let plain = try Scene(guest, "T8")
    plain.run()
    let scene = try Scene(guest, "T8")
    scene.probes.uprobes.slotCount = slots
    var waited = 0
    let probe = try scene.probe("xorfn") { context in
      context.yield()
      let area = (context.task?.space?.probeState as? UprobeSpace)?.area
      if let area, !area.queue.isEmpty { waited += 1 }
      return .continue
    }
    scene.finish(plain.values)
    // The handler ran once for each call, however long the task waited.
    #expect(probe.hits == 160)
    #expect(waited > 0)
  }

  @Test(
    "a process that dies waiting for a slot does not take another one's wake-up with it",
    arguments: guests)
  func deathOfAWaiter(guest: ProgramArchitecture) throws {
    // Three processes share a memory, and one slot: the first is in it, the others wait in turn.
    let scene = try Scene(guest, "J3")
    scene.probes.uprobes.slotCount = 2
    var victim: Task?
    var hits = 0
    let probe = try scene.probe("xorfn") { context in
      hits += 1
      if hits == 1 { context.yield() }
      if hits == 2 { victim = context.task }
      if hits == 3, let victim {
        context.kernel.send(.kernel(Signal.SIGKILL), to: victim, group: true)
      }
      return .continue
    }
    scene.finish([Int(0 ^ 85) + Int(200 ^ 85)])
    #expect(probe.hits == 3)
  }

  @Test(
    "M10 a process that is killed in the only slot leaves it to those who wait", arguments: guests)
  func deathInTheSlot(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "J2")
    scene.probes.uprobes.slotCount = 2
    var first: Task?
    var hits = 0
    let probe = try scene.probe("xorfn") { context in
      hits += 1
      if hits == 1 {
        first = context.task
        context.yield()
      } else if let first {
        // It is in the slot; this one will have to wait.
        context.kernel.send(.kernel(Signal.SIGKILL), to: first, group: true)
      }
      return .continue
    }
    scene.finish([100 ^ 85])
    #expect(probe.hits == 2)
  }

  /// Brings a program into its slot.
  private func inSlot(_ guest: ProgramArchitecture, _ steps: String) throws -> (Scene, area: UInt64)
  {
    let scene = try Scene(guest, steps)
    try scene.probe("xorfn")
    try scene.run(until: { scene.area?.contains($0) == true })
    return (scene, try #require(scene.area).lowerBound)
  }

  @Test(
    "a program may not write to its slots by mprotect, and harms nobody by unmapping them",
    arguments: guests)
  func slotsTakenAway(guest: ProgramArchitecture) throws {
    let (scene, area) = try inSlot(guest, "x1x2")
    let space = try #require(scene.space)
    #expect(throws: Errno.EACCES) { try space.mprotect(area, 4096, 7) }
    #expect(scene.isArmed(area))
    let frame = try #require(space.physical(area))
    try space.munmap(area, 4096)
    space.flushNeeded = .all
    // Slots are still written to the frame: it must not be given to anybody else.
    var taken: [UInt64] = []
    while let next = try? scene.kernel.frames.allocate() { taken.append(next & ~4095) }
    #expect(!taken.contains(frame & ~4095) && !taken.isEmpty)
    for next in taken { scene.kernel.frames.release(next) }
    // Its own instruction can't be executed any more.
    #expect(scene.run() == .ended(.killed(Signal.SIGSEGV)))
    #expect(scene.kernel.fatalSignal?.pc == (try scene.address("xorfn")))
  }

  @Test(
    "M10 a program that puts code of its own in place of its slots gets its signals",
    arguments: guests)
  func ownCodeInTheSlots(guest: ProgramArchitecture) throws {
    let (scene, area) = try inSlot(guest, "x1x2")
    let space = try #require(scene.space)
    let slot = scene.rig.machine.hart.pc
    try space.munmap(area, 4096)
    _ = try space.mmap(
      area, 4096, prot: 7, flags: MM.MAP_PRIVATE | MM.MAP_ANONYMOUS | MM.MAP_FIXED)
    // A jump, and a jump to itself: where a single step ends the copy, it ends the jump, which then
    // was the instruction's, as on Linux.
    let isStepped = scene.facts.slotEnd.isEmpty
    try space.write(slot, isStepped ? scene.facts.endlessLoop : scene.facts.jumpBy64)
    try space.write(slot &+ 64, scene.facts.endlessLoop)
    space.flushNeeded = .all
    space.instructionFlushNeeded = true
    scene.kernel.interruptHart()
    scene.run(scene.rig.machine.hart.count + 5000)
    #expect(scene.rig.machine.hart.pc == slot &+ 64 || isStepped)
    #expect(scene.values == [])
    scene.kernel.send(.kernel(Signal.SIGTERM), to: try #require(scene.first), group: true)
    scene.kernel.interruptHart()
    #expect(scene.run() == .ended(.killed(Signal.SIGTERM)))
    let va = try scene.address("xorfn")
    #expect(scene.kernel.fatalSignal?.pc == (isStepped ? va : slot &+ 64))
  }

  @Test(
    "M10 a signal's handler may be probed itself, and be interrupted in its slot", arguments: guests
  )
  func probedSignalHandler(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "S10S12n1i")
    let signal = usr1
    try scene.probe("xorfn") { context in
      context.raise(signal)
      return .continue
    }
    // SIGUSR2 while the first instruction of the handler of SIGUSR1 is in its slot.
    var depth = 0
    let handler = try scene.probe("on_signal") { context in
      depth += 1
      if depth == 1 { context.raise(12) }
      return .continue
    }
    let plain = try Scene(guest, "n1")
    plain.run()
    #expect(scene.run() == .ended(.exited(0)))
    #expect(scene.values.prefix(2) == [plain.values[0], 101])
    #expect(handler.hits == 101)
  }

  @Test("a probe is taken away while a task is in its slot", arguments: guests)
  func unregisterInTheSlot(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2")
    let probe = try scene.probe("xorfn")
    try scene.run(until: { scene.area?.contains($0) == true })
    scene.probes.unregister(probe)
    scene.finish([84, 87])
    #expect(probe.hits == 1)
  }

  @Test("a probe is taken away while tasks wait for its slots", arguments: guests)
  func unregisterWhileWaiting(guest: ProgramArchitecture) throws {
    let plain = try Scene(guest, "T4")
    plain.run()
    let scene = try Scene(guest, "T4")
    scene.probes.uprobes.slotCount = 2
    var own: Uprobe?
    own = try scene.probe("xorfn") { context in
      context.yield()
      let area = (context.task?.space?.probeState as? UprobeSpace)?.area
      if let own, let area, !area.queue.isEmpty { scene.probes.unregister(own) }
      return .continue
    }
    scene.finish(plain.values)
    #expect(own?.isRegistered == false)
  }
}
