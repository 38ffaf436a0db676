import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// What becomes of a break in a program: Linux's decision, row by row, and its SIGTRAPs.
///
/// - SeeAlso: Linux, `kernel/events/uprobes.c`, `handle_swbp`
@Suite struct UserDecisionTests {
  @Test(
    "M01 every handler sees the instruction's own address, after it the next one", arguments: guests
  )
  func savedPC(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1h1y1")
    #expect(scene.probes.isa.breakTrapOffset == scene.facts.breakTrapOffset)
    var seen: [UInt64] = []
    for symbol in ["xorfn", "shortfn", "sweepfn"] {
      let va = try scene.address(symbol)
      try scene.probe(symbol) { context in
        #expect(context.pc == va && context.function == va)
        seen.append(va)
        return .continue
      }
    }
    let plain = try Scene(guest, "x1h1y1")
    plain.run()
    scene.finish(plain.values)
    #expect(seen.count == 3)
  }

  @Test("row 1: the break of the trampoline is a return", arguments: guests)
  func rowTrampoline(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    let probe = try scene.returns("xorfn") { context in
      #expect(context.isReturn)
    }
    scene.finish([84])
    #expect(probe.hits == 1)
  }

  @Test(
    "row 2: a memory that lost its breaks is looked through once, then not asked any more",
    arguments: guests)
  func rowRecompute(guest: ProgramArchitecture) throws {
    // Everything is taken away; the program's own break has the memory looked through.
    let scene = try Scene(guest, "x1S5BbBbx1")
    let probe = try scene.probe("xorfn")
    try scene.run(until: { _ in scene.values.count == 1 })
    let state = try #require(scene.space?.probeState as? UprobeSpace)
    #expect(state.hasBreaks && !state.isDoubtful)
    scene.probes.unregister(probe)
    #expect(state.hasBreaks && state.isDoubtful)
    // The first break still counts as one among probes, the second does not.
    scene.finish([84] + scene.facts.ownBreak.besideProbes + scene.facts.ownBreak.alone + [84])
    #expect(!state.hasBreaks && !state.isDoubtful)
  }

  @Test("row 3: a break that is nobody's probe is SIGTRAP at the break", arguments: guests)
  func rowForeign(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "Bx1")
    try scene.probe("xorfn")
    #expect(scene.run() == .ended(.killed(Signal.SIGTRAP)))
    let brk = try scene.address("breakfn")
    #expect(scene.kernel.fatalSignal?.pc == brk + scene.facts.breakTrapOffset)
  }

  /// Brings a program to where it has trapped at a probe and nobody has looked at it yet.
  private func trapped(
    _ guest: ProgramArchitecture, _ steps: String, _ legacy: LegacyPolicies
  ) throws -> (Scene, Uprobe, UInt64) {
    let scene = try Scene(guest, steps)
    let probe = try scene.probeLibrary()
    try scene.run(until: { pc in pc == scene.mapped(0x1040) })
    let va = scene.rig.machine.hart.pc
    // The page comes in, then the break traps.
    try scene.run(until: { $0 > 1 << 63 && scene.space?.physical(va) != nil })
    scene.probes.legacy = legacy
    return (scene, probe, va)
  }

  @Test(
    "row 4, M04: a break that was taken away meanwhile is executed again, silently",
    arguments: guests)
  func rowStale(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, [Int], UInt64) {
      let (scene, probe, va) = try trapped(guest, "mc1c2", legacy)
      #expect(scene.isArmed(va))
      scene.probes.unregister(probe)
      #expect(scene.text(va, 4) == Array(scene.facts.xor[..<4]))
      return (scene.run(), scene.values, probe.hits)
    }
    let wrong = try run(.tableDecidesAlone)
    #expect(wrong.0 == .ended(.killed(Signal.SIGTRAP)))
    let right = try run([])
    #expect(right == (.ended(.exited(0)), [84, 87], 0))
  }

  @Test("row 4: a break whose page is gone faults as the instruction would", arguments: guests)
  func rowUnmapped(guest: ProgramArchitecture) throws {
    let (scene, probe, va) = try trapped(guest, "mc1", [])
    try scene.space?.munmap(va & ~4095, 8192)
    #expect(scene.run() == .ended(.killed(Signal.SIGSEGV)))
    #expect(scene.kernel.fatalSignal?.pc == va && scene.kernel.fatalSignal?.address == va)
    #expect(probe.hits == 0)
  }

  @Test(
    "row 6: a break the program compiled in is not mistaken for an unanalysed probe's",
    arguments: guests)
  func rowNotAnalysed(guest: ProgramArchitecture) throws {
    // A probe of a file that nobody maps has no instruction yet; one at a break gets none.
    let scene = try Scene(guest, "S5Bb")
    let other = try scene.probe("xorfn")
    let point = scene.probes.uprobes.points.values.first
    #expect(point?.insn != nil)
    #expect(refusal { try scene.probe("breakfn") } == .EOPNOTSUPP)
    scene.finish(scene.facts.ownBreak.besideProbes)
    #expect(other.hits == 0)
  }

  @Test(
    "rows 9 and 10, M25: what a handler changes counts; a changed pc skips the instruction",
    arguments: guests)
  func rowHandlerChangesPC(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x1x1")
    var hits = 0
    try scene.probe("xorfn") { context in
      hits += 1
      switch hits {
      case 1: context.setArgument(1, 2)
      case 2: context.pc &+= 4
      default: return context.overrideFunction(returning: 1)
      }
      return .continue
    }
    scene.finish([87, 1, 1])
  }

  @Test(
    "row 11: an instruction that reads or changes the pc is simulated, without a slot",
    arguments: guests)
  func rowSimulated(guest: ProgramArchitecture) throws {
    let (function, step, hits) = GuestFacts.of(guest).simulated
    let plain = try Scene(guest, step + "3")
    plain.run()
    let scene = try Scene(guest, step + "3x1")
    let probe = try scene.probe(function)
    try scene.run(until: { _ in !scene.values.isEmpty })
    #expect(probe.hits == hits && scene.area == nil)
    // The next one needs a slot.
    try scene.probe("xorfn")
    try scene.run(until: { _ in scene.values.count == 2 })
    #expect(scene.area != nil)
    scene.finish(plain.values + [84])
  }

  @Test("row 12: any other runs in its slot", arguments: guests)
  func rowSlot(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    try scene.probe("xorfn")
    try scene.run(until: { scene.area?.contains($0) == true })
    scene.finish([84])
  }

  @Test("row 13: where no slot can be made the break is hit again", arguments: guests)
  func rowNoSlot(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1")
    var hits = 0
    let probe = try scene.probe("xorfn") { context in
      hits += 1
      context.task?.space?.limits.addressSpace = hits < 4 ? 0 : MM.RLIM_INFINITY
      return .continue
    }
    scene.finish([84])
    #expect(probe.hits == 4)
  }

  // MARK: The SIGTRAP matrix

  @Test("SIGTRAP: a program's own break without probes says where", arguments: guests)
  func ownBreakAlone(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "S5Bb")
    scene.finish(scene.facts.ownBreak.alone)
    // Probes in other files change nothing.
    let other = try Scene(guest, "S5Bb")
    try other.probeLibrary()
    other.finish(scene.facts.ownBreak.alone)
  }

  @Test(
    "SIGTRAP: beside a probe it is the kernel's own, without an address, as on Linux",
    arguments: guests)
  func ownBreakBesideProbes(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "S5Bb")
    try scene.probe("xorfn")
    scene.finish(scene.facts.ownBreak.besideProbes)
  }

  @Test(
    "SIGTRAP: a jump into the slots runs what is left there, and traps as a program's break",
    arguments: guests)
  func jumpIntoASlot(guest: ProgramArchitecture) throws {
    func jump(to slot: Int) throws -> (ProgramExit, pc: UInt64?, [Int]) {
      let scene = try Scene(guest, "x1x2")
      var base: UInt64 = 0
      try scene.probe("xorfn") { context in
        guard context.argument(1) == 2 else { return .continue }
        let area = (context.task?.space?.probeState as? UprobeSpace)?.area
        base = area?.address(slot) ?? 0
        return .redirect(base)
      }
      let exit = scene.run()
      return (exit, scene.kernel.fatalSignal.map { $0.pc &- base }, scene.values)
    }
    // The slot that the first hit used: the instruction, then the break that nobody waits for.
    let used = try jump(to: 1)
    let facts = GuestFacts.of(guest)
    #expect(used.0 == .ended(.killed(facts.behindACopy)) && used.pc == 4 && used.2 == [84])
    // One that was never used holds zeros.
    let last = try 4096 / Scene(guest, "").probes.isa.uprobeSlotSize - 1
    let empty = try jump(to: last)
    #expect(empty.0 == .ended(.killed(facts.zeros)) && empty.pc == 0 && empty.2 == [84])
  }

  @Test("SIGTRAP: a direct jump to the trampoline is SIGILL", arguments: guests)
  func jumpToTheTrampoline(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1x2")
    try scene.probe("xorfn") { context in
      guard context.argument(1) == 2 else { return .continue }
      let area = (context.task?.space?.probeState as? UprobeSpace)?.area
      return .redirect(area?.base ?? 0)
    }
    #expect(scene.run() == .ended(.killed(Signal.SIGILL)))
    #expect(scene.values == [84])
  }

  @Test(
    "SIGTRAP: a break that the program writes over a probed instruction is the probe's",
    arguments: guests)
  func ownBreakOverAProbe(guest: ProgramArchitecture) throws {
    // Through /proc/self/mem, as a debugger would: the bytes are the same, and the probe stays.
    let scene = try Scene(guest, "mc1Qc2")
    let probe = try scene.probeLibrary()
    try scene.run(until: { _ in scene.values.count == 2 })
    let va = try #require(scene.mapped(0x1040))
    try scene.space?.writeForced(va, scene.facts.brk)
    scene.finish([84, scene.facts.armedWord, 87])
    #expect(probe.hits == 2)
  }
}
