import Engine
import Machine
import RISCV
import Testing

@testable import GuestKernel
@testable import Probes

/// What becomes of a break in a program: Linux's decision, row by row, and its SIGTRAPs.
///
/// - SeeAlso: Linux, `kernel/events/uprobes.c`, `handle_swbp`
@Suite struct UserDecisionTests {
  @Test("M01 every handler sees the instruction's own address, after it the next one")
  func savedPC() throws {
    let scene = try Scene("x1h1y1")
    #expect(RISCVProbeISA().breakTrapOffset == 0)
    var seen: [UInt64] = []
    for symbol in ["xorfn", "shortfn", "sweepfn"] {
      let va = try scene.address(symbol)
      try scene.probe(symbol) { context in
        #expect(context.pc == va && context.function == va)
        seen.append(va)
        return .continue
      }
    }
    let plain = try Scene("x1h1y1")
    plain.run()
    scene.finish(plain.values)
    #expect(seen.count == 3)
  }

  @Test("row 1: the break of the trampoline is a return")
  func rowTrampoline() throws {
    let scene = try Scene("x1")
    let probe = try scene.returns("xorfn") { context in
      #expect(context.isReturn)
    }
    scene.finish([84])
    #expect(probe.hits == 1)
  }

  @Test("row 2: a memory that lost its breaks is looked through once, then not asked any more")
  func rowRecompute() throws {
    // Everything is taken away; the program's own break has the memory looked through.
    let scene = try Scene("x1S5BbBbx1")
    let probe = try scene.probe("xorfn")
    try scene.run(until: { _ in scene.values.count == 1 })
    let state = try #require(scene.space?.probeState as? UprobeSpace)
    #expect(state.hasBreaks && !state.isDoubtful)
    scene.probes.unregister(probe)
    #expect(state.hasBreaks && state.isDoubtful)
    // The first break still counts as one among probes, the second does not.
    scene.finish([84, 0, 0x80, 0, 0, 1, 1, 84])
    #expect(!state.hasBreaks && !state.isDoubtful)
  }

  @Test("row 3: a break that is nobody's probe is SIGTRAP at the break")
  func rowForeign() throws {
    let scene = try Scene("Bx1")
    try scene.probe("xorfn")
    #expect(scene.run() == .ended(.killed(Signal.SIGTRAP)))
    #expect(scene.kernel.fatalSignal?.pc == (try scene.address("breakfn")))
  }

  /// Brings a program to where it has trapped at a probe and nobody has looked at it yet.
  private func trapped(_ steps: String, _ legacy: LegacyPolicies) throws -> (Scene, Uprobe, UInt64)
  {
    let scene = try Scene(steps)
    let probe = try scene.probeLibrary()
    try scene.run(until: { pc in pc == scene.mapped(0x1040) })
    let va = scene.rig.machine.hart.pc
    // The page comes in, then the break traps.
    try scene.run(until: { $0 > 1 << 63 && scene.space?.physical(va) != nil })
    scene.probes.legacy = legacy
    return (scene, probe, va)
  }

  @Test("row 4, M04: a break that was taken away meanwhile is executed again, silently")
  func rowStale() throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, [Int], UInt64) {
      let (scene, probe, va) = try trapped("mc1c2", legacy)
      #expect(scene.text(va) == shortBreak)
      scene.probes.unregister(probe)
      #expect(scene.text(va) == [0x13, 0x45])
      return (scene.run(), scene.values, probe.hits)
    }
    let wrong = try run(.tableDecidesAlone)
    #expect(wrong.0 == .ended(.killed(Signal.SIGTRAP)))
    let right = try run([])
    #expect(right == (.ended(.exited(0)), [84, 87], 0))
  }

  @Test("row 4: a break whose page is gone faults as the instruction would")
  func rowUnmapped() throws {
    let (scene, probe, va) = try trapped("mc1", [])
    try scene.space?.munmap(va & ~4095, 8192)
    #expect(scene.run() == .ended(.killed(Signal.SIGSEGV)))
    #expect(scene.kernel.fatalSignal?.pc == va && scene.kernel.fatalSignal?.address == va)
    #expect(probe.hits == 0)
  }

  @Test("row 6: a break the program compiled in is not mistaken for an unanalysed probe's")
  func rowNotAnalysed() throws {
    // A probe of a file that nobody maps has no instruction yet; one at a break gets none.
    let scene = try Scene("S5Bb")
    let other = try scene.probe("xorfn")
    let point = scene.probes.uprobes.points.values.first
    #expect(point?.insn != nil)
    #expect(refusal { try scene.probe("breakfn") } == .EOPNOTSUPP)
    scene.finish([0, 0x80, 0])
    #expect(other.hits == 0)
  }

  @Test("rows 9 and 10, M25: what a handler changes counts; a changed pc skips the instruction")
  func rowHandlerChangesPC() throws {
    let scene = try Scene("x1x1x1")
    var hits = 0
    try scene.probe("xorfn") { context in
      hits += 1
      switch hits {
      case 1: context.setArgument(1, 2)
      case 2: context.pc &+= 4
      default: return .redirect(context.register("ra") ?? 0)
      }
      return .continue
    }
    scene.finish([87, 1, 1])
  }

  @Test("row 11: an instruction that reads or changes the pc is simulated, without a slot")
  func rowSimulated() throws {
    let plain = try Scene("N3")
    plain.run()
    let scene = try Scene("N3")
    // c.beqz
    let probe = try scene.probe("deep")
    scene.finish(plain.values)
    #expect(probe.hits == 4 && scene.area == nil)
  }

  @Test("row 12: any other runs in its slot")
  func rowSlot() throws {
    let scene = try Scene("x1")
    try scene.probe("xorfn")
    try scene.run(until: { scene.area?.contains($0) == true })
    scene.finish([84])
  }

  @Test("row 13: where no slot can be made the break is hit again")
  func rowNoSlot() throws {
    let scene = try Scene("x1")
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

  @Test("SIGTRAP: a program's own break without probes says where")
  func ownBreakAlone() throws {
    let scene = try Scene("S5Bb")
    scene.finish([0, 1, 1])
    // Probes in other files change nothing.
    let other = try Scene("S5Bb")
    try other.probeLibrary()
    other.finish([0, 1, 1])
  }

  @Test("SIGTRAP: beside a probe it is the kernel's own, without an address, as on Linux")
  func ownBreakBesideProbes() throws {
    let scene = try Scene("S5Bb")
    try scene.probe("xorfn")
    scene.finish([0, 0x80, 0])
  }

  @Test("SIGTRAP: a jump into the slots runs what is left there, and traps as a program's break")
  func jumpIntoASlot() throws {
    func jump(to slot: Int) throws -> (ProgramExit, pc: UInt64?, [Int]) {
      let scene = try Scene("x1x2")
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
    #expect(used.0 == .ended(.killed(Signal.SIGTRAP)) && used.pc == 4 && used.2 == [84])
    // One that was never used holds zeros.
    let empty = try jump(to: 511)
    #expect(empty.0 == .ended(.killed(Signal.SIGILL)) && empty.pc == 0 && empty.2 == [84])
  }

  @Test("SIGTRAP: a direct jump to the trampoline is SIGILL")
  func jumpToTheTrampoline() throws {
    let scene = try Scene("x1x2")
    try scene.probe("xorfn") { context in
      guard context.argument(1) == 2 else { return .continue }
      let area = (context.task?.space?.probeState as? UprobeSpace)?.area
      return .redirect(area?.base ?? 0)
    }
    #expect(scene.run() == .ended(.killed(Signal.SIGILL)))
    #expect(scene.values == [84])
  }

  @Test("SIGTRAP: a break that the program writes over a probed instruction is the probe's")
  func ownBreakOverAProbe() throws {
    // Through /proc/self/mem, as a debugger would: the bytes are the same, and the probe stays.
    let scene = try Scene("mc1Qc2")
    let probe = try scene.probeLibrary()
    try scene.run(until: { _ in scene.values.count == 2 })
    let va = try #require(scene.mapped(0x1040))
    try scene.space?.writeForced(va, shortBreak)
    scene.finish([84, 0x9002, 87])
    #expect(probe.hits == 2)
  }
}
