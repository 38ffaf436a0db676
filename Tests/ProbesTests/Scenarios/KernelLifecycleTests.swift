import Engine
import GuestKernel
import Machine
import Testing

@testable import Probes

/// Probes that come, go, and are switched while they are being served.
@Suite struct KernelLifecycleTests {
  @Test(
    "a handler takes its own probe away",
    arguments: [CacheModel.coherent, .architectural], guests)
  func unregisterOwn(model: CacheModel, guest: ProgramArchitecture) throws {
    for function in ["probe_leaf", "probe_stacked", "probe_pcrel"] {
      for inPost in [false, true] {
        let rig = try Rig.targets(guest, [], model)
        let before = rig.text(try rig.symbol(function))
        var own: Kprobe?
        var posts = 0
        own = try rig.kprobe(
          function,
          pre: { _ in
            if let own, !inPost { rig.probes.unregister(own) }
            return .continue
          },
          post: { _ in
            posts += 1
            if let own { rig.probes.unregister(own) }
          })
        #expect(rig.run(limit: Rig.enough) == Rig.allRight)
        #expect(own?.hits == 1 && own?.isRegistered == false)
        #expect(posts == (inPost ? 1 : 0))
        #expect(rig.text(try rig.symbol(function)) == before)
        #expect(rig.probes.kprobes.slots.inUse == 0)
      }
    }
  }

  @Test("a handler takes the other probes of its address away", arguments: guests)
  func unregisterSiblings(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var order: [Int] = []
    var probes: [Kprobe] = []
    for number in 0..<3 {
      probes.append(
        try rig.kprobe(
          "probe_leaf",
          pre: { _ in
            order.append(number)
            if number == 2 { for other in probes[..<2] { rig.probes.unregister(other) } }
            return .continue
          }))
    }
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(order == Array(repeating: 2, count: 10))
    #expect(probes.map(\.hits) == [0, 0, 10])
  }

  @Test("a handler takes its probe away and registers it anew", arguments: guests)
  func registerAgain(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var current: Kprobe?
    var hits = 0
    var slots: Set<UInt64> = []
    func register() throws {
      let probe = try rig.kprobe(
        "probe_stacked",
        pre: { _ in
          hits += 1
          if let current { rig.probes.unregister(current) }
          try! register()
          return .continue
        })
      current = probe
      if let slot = rig.probes.kprobes.points[probe.address]?.slot { slots.insert(slot) }
    }
    try register()
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(hits == 10)
    // The slot in use is never the one that is given out, and two are enough.
    #expect(slots.count == 2)
    #expect(rig.probes.kprobes.slots.inUse == 1)
  }

  @Test("a handler disables and enables its own probe", arguments: guests)
  func switchOwn(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var own: Kprobe?
    var posts = 0
    own = try rig.kprobe(
      "probe_leaf",
      pre: { _ in
        if let own, own.hits % 2 == 1 { try! rig.probes.setEnabled(own, false) }
        return .continue
      }, post: { _ in posts += 1 })
    try rig.kprobe(
      "probe_even",
      pre: {
        if $0.argument(1) == 9, let own { try! rig.probes.setEnabled(own, true) }
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(own?.hits == 10)
    // No post handler where the pre handler disabled it.
    #expect(posts == 5)
  }

  @Test("slots are used again, whatever the number of probes over time", arguments: guests)
  func slotReuse(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let insns = try rig.targetInsns()
    var most = 0
    for round in 0..<40 {
      let probes = insns.compactMap {
        try? rig.probes.registerKprobe(KprobeRequest(.address($0.address)))
      }
      most = max(most, rig.probes.kprobes.slots.inUse)
      for probe in round % 2 == 0 ? probes : probes.reversed() { rig.probes.unregister(probe) }
      #expect(rig.probes.kprobes.slots.inUse == 0)
    }
    #expect(most > 60)
    // Everything is as it was, and slots beyond those were never touched.
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    let last = rig.probes.kprobes.slots.base &+ UInt64((most + 1) * rig.probes.isa.kprobeSlotSize)
    #expect(rig.text(last, 64).allSatisfy { $0 == 0 })
  }

  @Test("no slot is left: ENOMEM, and the text is untouched", arguments: guests)
  func exhaustedSlots(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    while rig.probes.kprobes.slots.allocate() != nil {}
    let address = try rig.symbol("probe_stacked")
    let before = rig.text(address)
    #expect(rig.refusal(.address(address))?.errno == .ENOMEM)
    #expect(rig.text(address) == before)
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
  }

  @Test(
    "the global switch takes breaks out of the text, and what is registered meanwhile waits",
    arguments: guests)
  func globalSwitch(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let leaf = try rig.kprobe("probe_leaf")
    let fib = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_tail_first"), ret: { _ in }))
    let armed = rig.text(leaf.address)
    rig.probes.kprobesAreOn = false
    #expect(!rig.probes.kprobesAreOn)
    let bare = rig.text(leaf.address)
    #expect(bare != armed)
    let late = try rig.kprobe("probe_pcrel")
    try rig.probes.setEnabled(leaf, false)
    try rig.probes.setEnabled(leaf, true)
    #expect(rig.text(leaf.address) == bare)
    rig.probes.kprobesAreOn = true
    #expect(rig.text(leaf.address) == armed)
    rig.probes.kprobesAreOn = false
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(leaf.hits == 0 && late.hits == 0 && fib.hits == 0)
    // A probe that goes meanwhile leaves the text as it is.
    rig.probes.unregister(late)
    rig.probes.kprobesAreOn = true
    #expect(!rig.probes.isa.isBreakpoint(rig.text(late.address)))
    #expect(rig.text(leaf.address) == armed)
  }

  @Test("the global switch is used by a handler, with calls under way", arguments: guests)
  func globalSwitchByHandler(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let leaf = try rig.kprobe("probe_leaf")
    let fib = try rig.probes.registerKretprobe(
      KretprobeRequest(.symbol("probe_fib"), maxactive: 20, ret: { _ in }))
    var calls = 0
    try rig.kprobe(
      "probe_fib", 0,
      pre: { _ in
        calls += 1
        if calls == 5 { rig.probes.kprobesAreOn = false }
        return .continue
      })
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    // Those five calls still return through the trampoline; nothing else is hit.
    #expect(calls == 5 && fib.hits == 5 && fib.active == 0)
    #expect(leaf.hits == 0)
  }

  @Test("a kretprobe's handler takes its probe away and registers another one", arguments: guests)
  func kretprobeInHandler(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    var first: Kretprobe?
    var second: Kretprobe?
    first = try rig.probes.registerKretprobe(
      KretprobeRequest(
        .symbol("probe_fib"), maxactive: 20,
        ret: { _ in
          guard second == nil, let probe = first else { return }
          rig.probes.unregister(probe)
          second = try! rig.probes.registerKretprobe(
            KretprobeRequest(.symbol("probe_fib"), maxactive: 20, ret: { _ in }))
        }))
    #expect(rig.run(limit: Rig.enough) == Rig.allRight)
    // The nine calls around the first return are nobody's.
    #expect(first?.hits == 1 && second?.hits == 1760)
    #expect(second?.active == 0 && rig.probes.kprobes.calls.isEmpty)
  }

  @Test("a task is killed while its calls are awaited", arguments: guests)
  func killed(guest: ProgramArchitecture) throws {
    // A child waits in a read of a pipe, and is killed there.
    let plain = try Rig("signals.elf", guest: guest).outcome()
    let rig = try Rig("signals.elf", guest: guest)
    var probes: [Kretprobe] = []
    for name in ["ksys_read", "schedule", "__schedule", "do_exit", "do_group_exit"] {
      probes.append(
        try rig.probes.registerKretprobe(
          KretprobeRequest(.symbol(name), maxactive: 64, ret: { _ in })))
    }
    #expect(rig.outcome() == plain, "\(rig.messages)")
    #expect(probes[3].kprobe.hits > 0)
    // Only the tasks that are alive still await something.
    let stacks = Set(rig.machine.kernel.tasks.values.map { $0.block.va })
    let waiting = rig.probes.kprobes.calls.keys.filter { !stacks.contains($0) }
    #expect(waiting.count <= 2, "\(waiting.count)")
    #expect(probes.allSatisfy { $0.active <= 2 * 3 })
  }

  @Test("every target with every kind of probe at once", arguments: guests)
  func together(guest: ProgramArchitecture) throws {
    let rig = try Rig.targets(guest)
    let names = [
      "kprobe_target", "kprobe_target2", "kretprobe_target", "probe_fib", "probe_tail_first",
      "probe_tail_second", "probe_tail_third", "probe_leaf", "probe_pcrel", "probe_stacked",
      "probe_even", "probe_odd", "probe_atomic", "probe_exclusive", "run_probe_targets",
    ]
    _ = try rig.probeText("kprobe_target", "run_probe_targets")
    var returns: [Kretprobe] = []
    for name in names + names {
      returns.append(
        try rig.probes.registerKretprobe(
          KretprobeRequest(.symbol(name), maxactive: 40, ret: { _ in })))
    }
    #expect(rig.run(limit: 20_000_000) == Rig.allRight, "\(rig.messages)")
    for probe in returns {
      #expect(probe.hits == probe.kprobe.hits && probe.hits > 0 && probe.active == 0)
    }
  }
}
