import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// What handlers are asked, and that what they say is done.
@Suite struct KernelHandlerTests {
  /// Probes a load of a target, spoils its address once, and has the fault handler repair it.
  private func faulting(_ rig: Rig) throws -> (exit: ProgramExit, faults: Int, pcs: [UInt64]) {
    let (address, base, bad) = try rig.faultingLoad()
    var kept: UInt64?
    var faults = 0
    var pcs: [UInt64] = []
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: {
          if kept == nil {
            kept = $0[register: base]
            $0[register: base] = bad
          }
          return .continue
        },
        fault: { context, fault in
          faults += 1
          pcs.append(context.pc)
          #expect(fault >= 64 && fault < 4096)
          context[register: base] = kept ?? 0
          return true
        }))
    let exit = rig.run(limit: Rig.enough)
    #expect(pcs.allSatisfy { $0 == address })
    return (exit, faults, pcs)
  }

  @Test("U24 the fault handler is invoked", arguments: guests)
  func faultHandler(guest: ProgramArchitecture) throws {
    let legacy = try faulting(Rig.targets(guest, .faultsInSlot))
    #expect(legacy.faults == 0)
    #expect(legacy.exit != Rig.allRight)

    let right = try faulting(Rig.targets(guest))
    #expect(right.faults == 1)
    #expect(right.exit == Rig.allRight)
  }

  /// The system call answers 4 without being executed.
  private func redirected(
    _ guest: ProgramArchitecture, _ legacy: LegacyPolicies
  ) throws -> (ProgramExit, posts: Int) {
    let rig = try Rig("probes.elf", ["k"], guest: guest)
    rig.probes.legacy = legacy
    var posts = 0
    try rig.kprobe(
      rig.syscall("getpid"),
      pre: { rig.justReturn(4, $0) }, post: { _ in posts += 1 })
    return (rig.run(limit: Rig.enough), posts)
  }

  @Test("U25 a pre handler redirects", arguments: guests)
  func redirect(guest: ProgramArchitecture) throws {
    let legacy = try redirected(guest, .preResultIgnored)
    #expect(legacy.0 == .ended(.exited(10)) && legacy.posts == 10)
    let right = try redirected(guest, [])
    #expect(right.0 == .ended(.exited(40)) && right.posts == 0)
  }

  @Test("U25 a pre handler has the instruction skipped", arguments: guests)
  func skip(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> ProgramExit {
      let rig = try Rig.targets(guest, legacy)
      let xor = try #require(
        rig.insns("probe_tail_third").first { $0.name == GuestFacts.of(guest).xorName })
      let offset = xor.address &- (try rig.symbol("probe_tail_third"))
      try rig.kprobe("probe_tail_third", offset, pre: { _ in .skip })
      return rig.run(limit: Rig.enough)
    }
    #expect(try run(.preResultIgnored) == Rig.allRight)
    // One wrong result in each of the ten rounds.
    #expect(try run([]) == .ended(.exited(10)))
  }

  @Test("U30 a handler that runs into its own probe", arguments: guests)
  func recursion(guest: ProgramArchitecture) throws {
    func depth(
      _ legacy: LegacyPolicies
    ) throws -> (deepest: Int, probe: Kprobe, exit: ProgramExit) {
      let rig = try Rig.targets(guest, legacy)
      let address = try rig.symbol("probe_leaf")
      var depth = 0
      var deepest = 0
      let probe = try rig.kprobe(
        "probe_leaf",
        pre: {
          depth += 1
          deepest = max(deepest, depth)
          // Without a guard it would never end.
          if depth < 20 { rig.hit(address, within: $0) }
          depth -= 1
          return .continue
        })
      let exit = rig.run(limit: Rig.enough)
      return (deepest, probe, exit)
    }
    #expect(try depth(.noReentryGuard).deepest == 20)
    let right = try depth([])
    #expect(right.deepest == 1)
    #expect(right.exit == Rig.allRight)
    #expect(right.probe.hits == 10 && right.probe.nmissed == 10)
  }

  @Test("U30 a probe on the path of a fault in a slot", arguments: guests)
  func recursionInTheFaultPath(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (ProgramExit, Kprobe, Int) {
      let rig = try Rig.targets(guest, legacy)
      let inner = try rig.kprobe("handle_mm_fault")
      let outer = try faulting(rig)
      return (outer.exit, inner, outer.faults)
    }
    // The inner hit is served as if there were no outer one, whose slot nobody knows any more.
    let legacy = try run(.noReentryGuard)
    #expect(legacy.1.hits > 0 && legacy.2 == 0)
    #expect(legacy.0 != Rig.allRight)

    let right = try run([])
    #expect(right.0 == Rig.allRight)
    #expect(right.1.nmissed == 1 && right.2 == 1)
  }
}
