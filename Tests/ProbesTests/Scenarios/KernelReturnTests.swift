import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// Returns of kernel functions.
@Suite struct KernelReturnTests {
  @Test("U20 maxactive can be chosen", arguments: [1, 2, 5, 100], guests)
  func maxactive(_ count: Int, guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var most = 0
    var own: Kretprobe?
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: count,
        ret: { _ in most = max(most, (own?.active ?? 0) + 1) }))
    own = probe
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    // fib(10) is at most ten calls deep.
    #expect(most == min(count, 10))
    #expect(probe.hits + probe.nmissed == 1770)
    #expect((probe.nmissed == 0) == (count >= 10))
  }

  @Test("U21 nmissed can be read, of entry and return apart", arguments: guests)
  func missed(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_fib"), maxactive: 1, ret: { _ in }))
    let fib = try rig.symbol("probe_fib")
    try rig.kprobe(
      "probe_leaf",
      pre: {
        rig.hit(fib, within: $0)
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(probe.kprobe.nmissed == 10)
    #expect(probe.hits == 10 && probe.nmissed == 1760)
  }

  @Test("U22 handlers of the request are called", arguments: guests)
  func callbacks(guest: ProgramArchitecture) throws {
    func counts(_ legacy: LegacyPolicies) throws -> [Int] {
      let rig = try Rig.targets(guest, legacy)
      var entries = 0
      var returns = 0
      _ = try rig.probes.registerKretprobe(
        KretprobeRequest(
          .symbol("probe_leaf"),
          entry: { _ in
            entries += 1
            return true
          }, ret: { _ in returns += 1 }))
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
      return [entries, returns]
    }
    #expect(try counts(.callbacksDropped) == [0, 0])
    #expect(try counts([]) == [10, 10])
  }

  @Test("U23 disabling silences the returns of calls under way", arguments: guests)
  func disabling(guest: ProgramArchitecture) throws {
    func hits(_ legacy: LegacyPolicies) throws -> Int {
      let rig = try Rig.targets(guest, legacy)
      var hits = 0
      var own: Kretprobe?
      own = try rig.probes.registerKretprobe(
        KretprobeRequest(
          .symbol("probe_fib"), maxactive: 20,
          ret: { _ in
            hits += 1
            if let own, hits == 1 { try? rig.probes.setEnabled(own, false) }
          }))
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
      #expect(own?.active == 0)
      return hits
    }
    // fib(1) returns first, and the nine calls around it are under way.
    #expect(try hits(.disabledStillReturns) == 10)
    #expect(try hits([]) == 1)
  }

  @Test("U26 a return without a call is an oops that says so", arguments: guests)
  func underflow(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    _ = try rig.probes.registerKretprobe(KretprobeRequest(.symbol("probe_odd"), ret: { _ in }))
    let trampoline = rig.probes.kprobes.trampoline
    try rig.kprobe("probe_leaf", pre: { _ in .redirect(trampoline) })
    let text = try #require(rig.panic(rig.run(limit: Rig.enough)))
    #expect(text.contains("kretprobe_trampoline+0x\(rig.facts.breakTrapOffset)"), "\(text)")
  }

  @Test("U26 a return of a frame that is not the newest one's", arguments: guests)
  func mismatch(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    // Innermost fib calls leave by the outermost one's return, four frames at once.
    var depth = 0
    var frames: [(sp: UInt64, ra: UInt64)] = []
    var returned = 0
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        entry: {
          depth += 1
          frames.append(($0.sp, $0.returnAddress))
          return true
        },
        ret: { _ in
          depth -= 1
          returned += 1
        }))
    let trampoline = rig.probes.kprobes.trampoline
    // Registered later, so it runs first; the frame's registers are those of the fifth call.
    var isDone = false
    let address = try rig.insns("probe_fib")[1].address
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(address),
        pre: { context in
          guard frames.count == 5, !isDone else { return .continue }
          isDone = true
          context.sp = frames[0].sp &+ rig.facts.popped
          context.returnValue = 55
          return .redirect(trampoline)
        }))
    _ = rig.run(limit: Rig.enough)
    #expect(isDone)
    // The four in between were dropped, none is left over.
    #expect(probe.active == 0)
    #expect(returned + 4 == frames.count)
  }

  @Test("U26 the probe is gone when its call returns", arguments: guests)
  func dead(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    weak var weakly: Kretprobe?
    do {
      let probe = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol("probe_fib"), maxactive: 20, ret: { _ in }))
      weakly = probe
    }
    var calls = 0
    try rig.kprobe(
      "probe_fib", try rig.insns("probe_fib")[1].address &- rig.symbol("probe_fib"),
      pre: { _ in
        calls += 1
        if calls == 5, let probe = weakly { rig.probes.unregister(probe) }
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight, "\(rig.messages)")
    #expect(weakly == nil)
    #expect(rig.probes.kprobes.calls.isEmpty)
  }

  @Test("U27 return probes in the idle task", arguments: guests)
  func idle(guest: ProgramArchitecture) throws {
    func run(
      _ program: String, _ legacy: LegacyPolicies
    ) throws -> (Outcome, idle: Int, messages: [String]) {
      let rig = try Rig(program, guest: guest)
      rig.probes.legacy = legacy
      var idle = 0
      _ = try rig.probes.registerKretprobe(
        KretprobeRequest(
          .symbol("schedule"), maxactive: 50,
          ret: { if $0.task == nil { idle += 1 } }))
      let outcome = rig.outcome(limit: legacy.isEmpty ? 400_000_000 : 50_000_000)
      return (outcome, idle, rig.messages)
    }
    for program in ["clocks.elf", "threads.elf"] {
      let plain = try Rig(program, guest: guest).outcome()
      #expect(plain.exit == Rig.allRight)
      // Returns go where another task's call, or one that never comes back, was made.
      #expect(try run(program, .callsShared).0 != plain)
      let right = try run(program, [])
      #expect(right.0 == plain, "\(right.messages)")
      if program == "clocks.elf" { #expect(right.idle > 0) }
    }
  }

  @Test("U52 the return handler's registers are all there", arguments: guests)
  func registers(guest: ProgramArchitecture) throws {
    func values(_ legacy: LegacyPolicies) throws -> (entry: [UInt64], back: [UInt64], UInt64) {
      let rig = try Rig.targets(guest, legacy)
      let names = rig.facts.keptInFrame + rig.facts.calleeSaved
      var entry: [UInt64] = []
      var back: [UInt64] = []
      var pc: UInt64 = 0
      var target: UInt64 = 0
      _ = try rig.probes.registerKretprobe(
        KretprobeRequest(
          .symbol("kretprobe_target"),
          entry: { context in
            entry = names.map { context.register($0) ?? 1 }
            entry[0] &+= rig.facts.popped
            target = context.returnAddress
            return true
          },
          ret: { context in
            back = names.map { context.register($0) ?? 2 }
            pc = context.pc
            #expect(context.returnAddress == target)
            #expect(context.returnValue == 42)
            if guest == .riscv64, legacy.isEmpty { #expect(context.register("cause") == 3) }
          }))
      #expect(rig.run(limit: Rig.enough) == Rig.allRight)
      return (entry, back, pc &- target)
    }
    let legacy = try values(.partialReturnFrame)
    #expect(legacy.back[0] == 0 && legacy.back[1] == 0 && legacy.2 != 0)
    let general = GuestFacts.of(guest).calleeSaved.count
    #expect(legacy.back.suffix(general) == legacy.entry.suffix(general))
    let right = try values([])
    #expect(right.back == right.entry && right.entry[0] != 0 && right.entry[1] != 0)
    #expect(right.2 == 0)
  }

  @Test("U86 functions that are left without a return", arguments: guests)
  func longjmp(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    // kretprobe_target calls kprobe_target, whose probe leaves both for the caller of the outer one.
    var outside: UInt64 = 0
    var sp: UInt64 = 0
    var kept: [UInt64] = []
    let outer = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("kretprobe_target"), maxactive: 3,
        entry: { context in
          (outside, sp) = (context.returnAddress, context.sp)
          kept = rig.facts.calleeSaved.map { context.register($0) ?? 0 }
          return true
        }, ret: { _ in }))
    let inner = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("kprobe_target"), maxactive: 3, ret: { _ in }))
    let run = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("run_probe_targets"), maxactive: 3, ret: { _ in }))
    let division = try #require(
      rig.insns("kprobe_target").first { $0.name.hasPrefix("div") })
    var jumps = 0
    _ = try rig.probes.registerKprobe(
      KprobeRequest(
        .address(division.address),
        pre: { context in
          guard context.sp < sp else { return .continue }
          jumps += 1
          for (name, value) in zip(rig.facts.calleeSaved, kept) {
            context.setRegister(name, value)
          }
          context.sp = sp &+ rig.facts.popped
          context.returnValue = 42
          return .redirect(outside)
        }))
    // Every other return goes where it should, and nothing is left over.
    #expect(rig.run(limit: Rig.enough) == Rig.allRight, "\(rig.messages)")
    #expect(jumps == 10)
    #expect(outer.hits == 0 && outer.active == 0 && outer.nmissed == 0)
    // kprobe_target is called by itself as well.
    #expect(inner.hits == 10 && inner.active == 0)
    #expect(run.hits == 10)
  }

  @Test("U86 a function that never returns", arguments: guests)
  func noReturn(guest: ProgramArchitecture) throws {
    let plain = try Rig("probes.elf", ["f"], guest: guest).outcome()
    let rig = try Rig("probes.elf", ["f"], guest: guest)
    let probe = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("do_exit"), maxactive: 1, ret: { _ in }))
    var active: [Int] = []
    try rig.kprobe(
      "kernel_clone",
      pre: { _ in
        active.append(probe.active)
        return .continue
      })
    #expect(rig.outcome() == plain)
    #expect(probe.kprobe.hits > 0 && probe.hits == 0)
    #expect(active == [0])
  }
}
